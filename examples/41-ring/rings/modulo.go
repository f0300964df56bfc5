package rings

import "github.com/concordkit/concord/ring"

// modulo is hash % n over a list of nodes. Do not copy it where nodes come and go: a key's owner depends on n.
type modulo []string

// moduloOf lists the active nodes, one of weight 2 twice: nothing else that such a list could do about weights or drains.
func moduloOf(v *ring.View) modulo {
	var list modulo
	for _, n := range v.Nodes() {
		if n.State != ring.Active {
			continue
		}
		for range int(n.Weight) {
			list = append(list, n.ID)
		}
	}
	return list
}

func (m modulo) owner(key string) (id string, ok bool) {
	if len(m) == 0 {
		return "", false
	}
	return m[hash(key)%uint64(len(m))], true
}
