package deliver

import "time"

// PassOutage lets time pass for the memory of an outage only.
func (d *Deliverer) PassOutage(by time.Duration) {
	d.blocks.mu.Lock()
	defer d.blocks.mu.Unlock()
	d.blocks.until = d.blocks.until.Add(-by)
	d.blocks.probed = d.blocks.probed.Add(-by)
}
