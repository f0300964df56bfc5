package ratio

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
)

// Scenario measures some of the rows of a table.
type Scenario struct {
	Name string
	Run  func(context.Context) ([]Row, error)
}

// Run runs scenarios one after the other, and says to progress which.
func Run(ctx context.Context, progress func(string), scenarios []Scenario) ([]Row, error) {
	var rows []Row
	for _, s := range scenarios {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress(s.Name)
		more, err := s.Run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// Versions names those modules and the versions of them that this program is built with.
func Versions(modules ...string) string {
	var names []string
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if slices.Contains(modules, m.Path) {
			names = append(names, m.Path+" "+m.Version)
		}
	}
	return strings.Join(names, ", ")
}
