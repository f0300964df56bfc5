package electionbench

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// What Kubernetes' own components use.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// kubernetes holds the records of elections in memory, in place of an API server: a request costs nothing and never
// fails but for its version.
type kubernetes struct {
	requests atomic.Int64

	mu      sync.Mutex
	records map[string]versioned
}

// versioned is a record with what an API server calls its resourceVersion, 0 where there is none.
type versioned struct {
	record  resourcelock.LeaderElectionRecord
	version int
}

// side is client-go's leaderelection on k.
func (k *kubernetes) side() side {
	return side{"client-go leaderelection", func(_ context.Context, id string, _ time.Duration) (candidate, error) {
		return candidate{
			campaign: func(ctx context.Context, name string) (func() error, error) {
				return campaignFor(ctx, &resource{k: k, name: name, id: id})
			},
			close: func() {},
		}, nil
	}}
}

func campaignFor(ctx context.Context, lock resourcelock.Interface) (resign func() error, err error) {
	leads := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(leads) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), klog.Logger{})) // a Logger that is silent
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(run)
	}()
	resign = func() error {
		cancel()
		<-ended
		return nil
	}
	select {
	case <-leads:
		return resign, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), resign())
	}
}

// resource is a candidate's view of a record, as resourcelock.LeaseLock is one: it writes if the record is still the one
// that it has seen last.
type resource struct {
	k        *kubernetes
	name, id string
	seen     int
}

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

// Get implements resourcelock.Interface.
func (r *resource) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r.k.requests.Add(1)
	r.k.mu.Lock()
	now := r.k.records[r.name]
	r.k.mu.Unlock()
	if now.version == 0 {
		return nil, nil, apierrors.NewNotFound(leases, r.name)
	}
	r.seen = now.version
	raw, err := json.Marshal(now.record)
	return &now.record, raw, err
}

// Create implements resourcelock.Interface.
func (r *resource) Create(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	return r.write(record, 0, apierrors.NewAlreadyExists(leases, r.name))
}

// Update implements resourcelock.Interface.
func (r *resource) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	return r.write(record, r.seen, apierrors.NewConflict(leases, r.name, errors.New("modified meanwhile")))
}

func (r *resource) write(record resourcelock.LeaderElectionRecord, seen int, refused error) error {
	r.k.requests.Add(1)
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	now := r.k.records[r.name].version
	if now != seen {
		return refused
	}
	if r.k.records == nil {
		r.k.records = map[string]versioned{}
	}
	r.seen = now + 1
	r.k.records[r.name] = versioned{record, r.seen}
	return nil
}

// RecordEvent implements resourcelock.Interface.
func (r *resource) RecordEvent(string) {}

// Identity implements resourcelock.Interface.
func (r *resource) Identity() string { return r.id }

// Describe implements resourcelock.Interface.
func (r *resource) Describe() string { return r.name }
