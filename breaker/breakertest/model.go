package breakertest

import (
	"slices"
	"time"

	"github.com/concordkit/concord/breaker"
)

// windowSteps is in how many steps a window moves on, counted from when the breaker closed.
const windowSteps = 8

// model is a breaker as simple as can be: it keeps a list of all calls and looks through it each time.
type model struct {
	o      *breaker.Options
	state  breaker.State
	period int // counts changes
	since  time.Time
	until  time.Time
	streak int

	calls       []record // that ended in this period
	consecutive int
	inFlight    int
	probes      []*modelCall // that run
	recovered   int          // probes that succeeded
}

type record struct {
	at           time.Time
	failed, slow bool
}

type modelCall struct {
	period int
	began  time.Time
	ended  bool
}

func newModel(o *breaker.Options) *model { return &model{o: o, since: time.Now()} }

func (m *model) enter(s breaker.State, at time.Time) {
	*m = model{o: m.o, state: s, period: m.period + 1, since: at, streak: m.streak}
}

// open opens for d, or for the usual time if d is 0.
func (m *model) open(at time.Time, d time.Duration) {
	if m.state == breaker.Closed {
		m.streak = 0
	}
	m.enter(breaker.Open, at)
	if d == 0 {
		d = m.o.OpenFor
		for range m.streak {
			d = min(2*d, m.o.MaxOpenFor)
		}
	}
	m.until = at.Add(d)
}

// settle lets the time pass until now.
func (m *model) settle() {
	for _, c := range m.probes { // the oldest comes first
		if end := c.began.Add(m.o.ProbeTimeout); !time.Now().Before(end) {
			m.streak++
			m.open(end, 0)
			return
		}
	}
}

func (m *model) allow() (*modelCall, bool) {
	now := time.Now()
	if m.state == breaker.Open && !now.Before(m.until) {
		m.enter(breaker.HalfOpen, now)
	}
	if limit := m.o.Rules.InFlight; m.state == breaker.Closed && limit > 0 && m.inFlight == limit {
		m.open(now, 0)
	}
	c := &modelCall{period: m.period, began: now}
	switch m.state {
	case breaker.Closed:
		m.inFlight++
	case breaker.HalfOpen:
		if len(m.probes)+m.recovered == m.o.Probes {
			return nil, false
		}
		m.probes = append(m.probes, c)
	case breaker.Open, breaker.ForcedOpen:
		return nil, false
	}
	return c, true
}

func (m *model) done(c *modelCall, failed, neutral bool) {
	if c.ended {
		return
	}
	c.ended = true
	if c.period != m.period || m.state == breaker.Disabled {
		return
	}
	slow := m.o.Rules.SlowAfter > 0 && time.Since(c.began) > m.o.Rules.SlowAfter
	if m.state == breaker.HalfOpen {
		m.probes = slices.DeleteFunc(m.probes, func(p *modelCall) bool { return p == c })
		m.probed(failed || slow, neutral)
		return
	}
	m.inFlight--
	if neutral {
		return
	}
	m.calls = append(m.calls, record{time.Now(), failed, slow})
	m.consecutive++
	if !failed {
		m.consecutive = 0
	}
	if (failed || slow) && m.broken() {
		m.open(time.Now(), 0)
	}
}

func (m *model) probed(failed, neutral bool) {
	switch {
	case neutral:
	case failed:
		m.streak++
		m.open(time.Now(), 0)
	default:
		if m.recovered++; m.recovered == m.o.Probes {
			m.enter(breaker.Closed, time.Now())
		}
	}
}

// broken reports whether a rule is.
func (m *model) broken() bool {
	r := &m.o.Rules
	step := r.Window / windowSteps
	var total, failed, slow int
	for _, c := range m.calls {
		if int(time.Since(m.since)/step)-int(c.at.Sub(m.since)/step) >= windowSteps {
			continue
		}
		total++
		if c.failed {
			failed++
		}
		if c.slow {
			slow++
		}
	}
	enough := func(bad int, rate float64) bool {
		return rate > 0 && total >= r.MinCalls && float64(bad)/float64(total) >= rate
	}
	return r.Consecutive > 0 && m.consecutive >= r.Consecutive || enough(failed, r.FailureRate) ||
		r.SlowAfter > 0 && enough(slow, r.SlowRate)
}

func (m *model) held() bool { return m.state == breaker.ForcedOpen || m.state == breaker.Disabled }

func (m *model) trip(d time.Duration) {
	if !m.held() {
		m.open(time.Now(), d)
	}
}

func (m *model) probe() {
	if m.state == breaker.Open && time.Until(m.until) > time.Millisecond {
		m.open(time.Now(), time.Millisecond)
	}
}

func (m *model) restore() {
	if m.state == breaker.Open || m.state == breaker.HalfOpen {
		m.enter(breaker.Closed, time.Now())
	}
}

// force is what Reset, ForceOpen and Disable do.
func (m *model) force(s breaker.State) { m.enter(s, time.Now()) }
