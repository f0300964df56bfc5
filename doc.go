// Package concord is the root of a library of distributed-systems primitives. It holds no code: import the concept
// that you need.
//
//   - [github.com/concordkit/concord/lock]: leases with fencing tokens: mutex, read-write lock, semaphore.
//
// Every concept is a small front over a small Backend contract. Backends live below their concept and take the client
// that the application already has. README.md shows the first steps; DESIGN.md says what is promised and why.
package concord
