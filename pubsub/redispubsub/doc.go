// Package redispubsub carries messages over Redis: one server, a master that Sentinels watch, or a Cluster; whatever a
// [redis.UniversalClient] reaches but a [redis.Ring].
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	bus := pubsub.NewBus(redispubsub.NewBus(rdb, nil), nil)
//
// A [Bus] uses pub/sub: nothing is stored.
//
// # Guarantees of a Bus
//
// Publish returns when the server has the message and has passed it on to the connections of its subscribers; it is never sent
// twice, so an error may leave open whether it was sent. A subscription is active when the server has confirmed it. All
// subscriptions of a Bus share one connection, with a buffer for each, so that a slow one holds up no other. A gap follows each
// new connection, at the confirmation of the server: after a broken link, a restart, a failover, or where the server has
// disconnected the client since its output buffer was full (client-output-buffer-limit pubsub). A link that is dead, or leads to a
// server that publishers no longer use, is found within [BusOptions].Silence, and at most a third of that more, and the time that the
// client takes to give up.
//
// # Limits of a Bus
//
// In a Cluster a message goes to the master of its channel's slot, so that those of one topic stay in order, and from there to all
// nodes: every node works for every message. Sharded channels are not used, since they have no patterns. What is lost between nodes,
// or is published to a master that was cut off and is replaced, no client hears of, so there is no gap.
//
// A pattern is subscribed as a glob that may fit more channels, which are then thrown away here. A subscription keeps up to 65,536
// messages or 32 MiB for a subscriber with Block, twice while it hands them on. A message of 512 MiB, its envelope included, is too
// large; one of more than the output buffer of the server for subscribers, 32 MiB by default, disconnects them.
//
// # Channels and messages
//
// The channel is the prefix and the topic. A message without ID, Key and Header is its Data alone; any other one begins with the
// bytes FF, "concord", 01. What others publish arrives as Data. A link has a channel of its own, <prefix>_concord.<random>, to which
// it publishes to see whether that arrives. A user that is restricted by ACLs needs the channels, and for patterns exactly their globs.
package redispubsub
