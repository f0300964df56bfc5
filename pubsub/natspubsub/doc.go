// Package natspubsub carries messages over NATS.
//
//	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectOnFlusherError())
//	…
//	bus := pubsub.NewBus(natspubsub.NewBus(nc, nil), nil)
//
// A [Bus] uses core NATS: nothing is stored. It shares the connection with its owner, and leaves the handlers alone.
//
// # Guarantees of a Bus
//
// A subscription is active when the connected server has confirmed it. A gap follows each reconnect, as soon as the server has the
// subscription again, and whatever the client or the subscription had no room for. Where messages wait at the moment of a reconnect,
// up to 17 gaps mark the places where it may have been, and more than 16 waiting messages are dropped. Publish buffers; nil from
// Flush means that the server has everything.
//
// # Limits of a Bus
//
// Servers of a cluster tell each other of subscriptions after the first one has confirmed: see [BusOptions].Settle. What is lost
// between them, such as while a route is cut, no client hears of, so there is no gap. The same goes for a stream or an import that
// changes what arrives.
//
// A link that is silent is found by the pings of the client, after 4 to 6 minutes by default: see nats.PingInterval and
// nats.MaxPingsOutstanding. A client that cannot write blocks Publish until its FlusherTimeout, a minute by default, whatever the
// context says. Without nats.ReconnectOnFlusherError it then drops what it had buffered and goes on; Flush sees that by the client's
// last error, unless another error has hidden it. A subscription that the server revokes while it runs is found within a second,
// in the same way; subscribers to a pattern that was refused get the error from Subscribe.
//
// A subscription keeps up to 65,536 messages or 32 MiB for a subscriber with Block, twice while it hands them on.
//
// # Subjects and headers
//
// The subject is the prefix and the topic. A message without ID, Key and Header is a plain one. An ID is Nats-Msg-Id, which also
// streams that store the subject take for a duplicate's; a Key is Concord-Key; a Header is itself, or Concord-Header, as
// "name=value" in the escapes of a query, where NATS would change it. What others publish arrives the same way, with the first value
// of each name; names that begin with "Nats-" or "Concord-" are left out. A user with restricted permissions needs to publish and
// subscribe to the subjects, wildcards included.
package natspubsub
