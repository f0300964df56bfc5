package containers

import (
	"context"
	"io"
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

const (
	// label marks all that this package makes.
	label = "concord.test"
	// dataDir is a file system in memory, so that a disk slows no test and a container leaves no volume.
	dataDir = "/data"
	// maxLog is how much of a server's log a failed test shows.
	maxLog = 16 << 10
)

// Server is one container with one server in it.
type Server struct {
	c    *testcontainers.DockerContainer
	addr string
}

// start runs a container until t ends. It does not wait for the server in it, which may need others.
func start(t testing.TB, m image, port string, opts ...testcontainers.ContainerCustomizer) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	c, err := testcontainers.Run(ctx, m.name(), append(opts,
		testcontainers.WithLabels(map[string]string{label: ""}),
		testcontainers.WithTmpfs(map[string]string{dataDir: ""}),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			loopback := network.PortBinding{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
			h.PortBindings = network.PortMap{network.MustParsePort(port): {loopback}}
		}))...)
	testcontainers.CleanupContainer(t, c, testcontainers.StopTimeout(0))
	t.Cleanup(func() { showLog(t, c) })
	must(t, err)
	published, err := c.MappedPort(ctx, port)
	must(t, err)
	return &Server{c: c, addr: "127.0.0.1:" + published.Port()}
}

// Addr returns the host and port at which clients of this machine reach the server.
func (s *Server) Addr() string { return s.addr }

// Pause stops the server where it is, with its connections open, until Resume or the end of t.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	mustEngine(t, func(ctx context.Context, cli *testcontainers.DockerClient) error {
		_, err := cli.ContainerPause(ctx, s.c.GetContainerID(), client.ContainerPauseOptions{})
		return err
	})
	t.Cleanup(func() { s.resume() }) // an error says that it runs
}

// Resume ends a Pause. The server then serves what has arrived meanwhile.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	must(t, s.resume())
}

func (s *Server) resume() error {
	return withEngine(func(ctx context.Context, cli *testcontainers.DockerClient) error {
		_, err := cli.ContainerUnpause(ctx, s.c.GetContainerID(), client.ContainerUnpauseOptions{})
		return err
	})
}

func showLog(t testing.TB, c *testcontainers.DockerContainer) {
	if c == nil || !t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	r, err := c.Logs(ctx)
	if err != nil {
		t.Logf("containers: no log: %v", err)
		return
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	t.Logf("containers: the log of %s (%v):\n%s", c.Image, err, text[max(0, len(text)-maxLog):])
}
