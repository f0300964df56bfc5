// Package members keeps a [ring.Ring] equal to the processes that are alive, through any lock backend: each member is a
// [lock.Lease], and its place in the ring is the value of the lease.
//
//	locks := lock.New(etcdlock.New(cli, nil), nil)
//	me, err := members.Join(ctx, locks, "cache", ring.Node{ID: host, Addr: addr, Zone: zone}, nil)
//	if err != nil {
//		return err
//	}
//	defer me.Leave(ctx)
//
//	r, err := ring.New(nil, nil)
//	err = members.Follow(ctx, locks, "cache", r, nil) // from here on r changes by itself
//
// # What is promised
//
// One process holds an ID at a time: [Join] waits while another one does. A member whose lease is lost, as through a
// network that was away for a TTL, joins again by itself. One that leaves says so first ([ring.Leaving]), stays for its
// drain time, and then ends; one that crashes is gone when its TTL is over.
//
// All followers see the same members in the end, but not at the same instant: membership is routing, not exclusion. Two
// processes can have different views for a moment, and a member that was cut off does not know yet that others have its
// keys. So send [ring.View.Fingerprint] with a request, have a receiver with another one refuse it or answer it itself,
// never pass it on a second time, and where a key may have one writer only, take a lock for that.
//
// # What is held back
//
// A registry that has lost its data, or that nobody can reach, looks like a fleet that is dead. So a follower that cannot
// learn anything leaves the ring as it is, and one that sees more than half of the active members vanish within
// FollowOptions.Hold, without having left, keeps those that are still in the ring for so long. Members that join, leave or
// change are let through meanwhile.
package members

import "github.com/concordkit/concord/lock"

// ErrInvalid reports bad input. The error that wraps it names the value and the rule; nothing was sent. It is
// lock.ErrInvalid or ring.ErrInvalid.
var ErrInvalid = lock.ErrInvalid
