// Package layering holds the tests that keep the library's shape; it exports nothing. They read the sources of the
// root module and check that
//
//   - a concept imports the standard library, internal packages and itself, and another concept only where the table
//     in imports_test.go says so; internal packages import no concept, which would be a way around that;
//   - a client library stays below a directory named for its technology, a test library in tests and suites, and
//     nothing else comes from a third party;
//   - a contract has at most seven methods, all written out in one place;
//   - methods that compose concepts by shape have exactly the signature that the other side looks for;
//   - every module of the repository names the same Go version.
//
// Each rule is a function over parsed sources, so that its tests can also show it sources that it must reject.
package layering
