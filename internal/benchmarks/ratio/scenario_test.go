package ratio

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	bad := errors.New("bad")
	row := func(name string) Scenario {
		return Scenario{name, func(context.Context) ([]Row, error) { return []Row{{Goal: name}}, nil }}
	}
	var said []string
	say := func(s string) { said = append(said, s) }
	rows, err := Run(t.Context(), say, []Scenario{row("a"), row("b")})
	require.NoError(t, err)
	require.Equal(t, []Row{{Goal: "a"}, {Goal: "b"}}, rows)
	require.Equal(t, []string{"a", "b"}, said)

	_, err = Run(t.Context(), say, []Scenario{{"c", func(context.Context) ([]Row, error) { return nil, bad }}, row("d")})
	require.ErrorIs(t, err, bad)
	require.ErrorContains(t, err, "c: ")
	require.NotContains(t, said, "d")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, say, []Scenario{row("e")})
	require.ErrorIs(t, err, context.Canceled)
}
