package layering

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contracts names the interfaces that engines implement. Whoever writes a backend implements all of their methods.
var contracts = []string{"Backend", "Store", "Pool", "Wire", "Conn", "BusBackend", "QueueBackend", "QueueConsumer", "Sink"}

// maxMethods keeps a backend one day's work; what can be written on top of a contract belongs in its front.
const maxMethods = 7

func contractViolations(sources []source) []string {
	var violations []string
	for _, s := range sources {
		for name, contract := range interfaces(s.File) {
			if !slices.Contains(contracts, name) {
				continue
			}
			for _, broken := range checkContract(contract) {
				violations = append(violations, fmt.Sprintf("%s: %s %s", s, name, broken))
			}
		}
	}
	return violations
}

// interfaces returns the interface types that a file declares, by name.
func interfaces(file *ast.File) map[string]*ast.InterfaceType {
	found := map[string]*ast.InterfaceType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if contract, ok := spec.Type.(*ast.InterfaceType); ok {
				found[spec.Name.Name] = contract
			}
		}
		return true
	})
	return found
}

func checkContract(contract *ast.InterfaceType) []string {
	var broken []string
	methods := 0
	for _, field := range contract.Methods.List {
		methods += len(field.Names)
		if len(field.Names) == 0 {
			broken = append(broken, "embeds "+types.ExprString(field.Type)+": write its methods out")
		}
	}
	if methods > maxMethods {
		broken = append(broken, fmt.Sprintf("has %d methods, more than %d", methods, maxMethods))
	}
	return broken
}

func TestContracts(t *testing.T) {
	requireClean(t, contractViolations(parseModule(t)))
}

func TestContractViolations(t *testing.T) {
	declare := func(name, body string) []source {
		return []source{parse(t, "", "lock/a.go", "package lock\ntype "+name+" interface {\n"+body+"\n}")}
	}
	seven := strings.Join([]string{"A()", "B()", "C()", "D()", "E()", "F()", "G()"}, "\n")

	require.Empty(t, contractViolations(declare("Backend", seven)))
	for _, name := range contracts {
		require.Equal(t, []string{"lock/a.go: " + name + " has 8 methods, more than 7"},
			contractViolations(declare(name, seven+"\nH()")))
	}
	require.Equal(t, []string{"lock/a.go: Backend embeds io.Closer: write its methods out"},
		contractViolations(declare("Backend", "A()\nio.Closer")))
	require.Empty(t, contractViolations(declare("Cache", seven+"\nH()")), "only contracts have a limit")
}
