package faultproxy

// Links are the links of one simulated process to the members of a cluster, one to each, in the order of the members.
// A slice of them is a process that knows only some members.
type Links []*Proxy

// Addrs returns the addresses for a client to dial.
func (l Links) Addrs() []string {
	addrs := make([]string, len(l))
	for i, p := range l {
		addrs[i] = p.Addr()
	}
	return addrs
}

// Set does [Proxy.Set] on every link.
func (l Links) Set(f Faults) {
	for _, p := range l {
		p.Set(f)
	}
}

// Heal does [Proxy.Heal] on every link.
func (l Links) Heal() {
	for _, p := range l {
		p.Heal()
	}
}

// ResetAll does [Proxy.ResetAll] on every link.
func (l Links) ResetAll() {
	for _, p := range l {
		p.ResetAll()
	}
}

// ResetPeer resets the open connections of the client called name, as told by the function of [Proxy.SetIdentify], at
// both ends, whatever the faults hold.
func (p *Proxy) ResetPeer(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.peer == name {
			l.abort()
		}
	}
}
