package containers

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/testcontainers/testcontainers-go"
)

// pullTimeout bounds the search for a registry that may not be there. The images have some ten megabytes each.
const pullTimeout = 2 * time.Minute

// image names what a server's containers are made from.
type image struct{ env, public string }

var (
	redisImage = image{"CONCORD_IMAGE_REDIS", "redis:8.2"}
	natsImage  = image{"CONCORD_IMAGE_NATS", "nats:2.15.2"}
	etcdImage  = image{"CONCORD_IMAGE_ETCD", "quay.io/coreos/etcd:v3.7.3"}

	images = []image{redisImage, natsImage, etcdImage}
)

func (m image) name() string { return cmp.Or(os.Getenv(m.env), m.public) }

// pulls holds a func() error for every image that had to be pulled, which tries once.
var pulls sync.Map

// obtain returns nil when the engine has the image. It tries to pull it if pulling is true.
func (m image) obtain(pulling bool) error {
	name := m.name()
	err := inspect(name)
	if !errdefs.IsNotFound(err) {
		return err
	}
	err = fmt.Errorf("image %s is not here: docker pull it, or make images", name)
	if !pulling {
		return err
	}
	once, _ := pulls.LoadOrStore(name, sync.OnceValue(func() error { return pull(name) }))
	if cause := once.(func() error)(); cause != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return nil
}

func inspect(name string) error {
	return withEngine(func(ctx context.Context, cli *testcontainers.DockerClient) error {
		_, err := cli.ImageInspect(ctx, name)
		return err
	})
}

func pull(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.PullImage(ctx, name); err != nil {
		return err
	}
	return inspect(name) // a pull that fails half-way is no error of PullImage
}
