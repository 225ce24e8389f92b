package auth

import "sync"

// cache keeps a bounded number of values until all are dropped.
type cache[K comparable, V any] struct {
	size int

	mu         sync.RWMutex
	generation uint64 // raised by drop: a reading begun before is not kept
	values     map[K]V
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{size: size, values: map[K]V{}}
}

// get returns a value and whether it is there; if it is not, the generation goes to
// put with what was read instead.
func (c *cache[K, V]) get(key K) (V, bool, uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.values[key]
	return v, ok, c.generation
}

func (c *cache[K, V]) put(generation uint64, key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if _, known := c.values[key]; !known && len(c.values) >= c.size {
		for other := range c.values { // any one will do: a miss costs one read
			delete(c.values, other)
			break
		}
	}
	c.values[key] = value
}

func (c *cache[K, V]) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.values = map[K]V{}
}
