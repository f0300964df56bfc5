//go:build servers

// The tag is never set: go mod tidy reads this file all the same, and so keeps all that the programs are compiled from.
package main

import (
	_ "github.com/nats-io/nats-server/v2"
	_ "go.etcd.io/etcd/server/v3"
)
