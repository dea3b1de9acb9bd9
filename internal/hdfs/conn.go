package hdfs

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialer opens a session's connections and can cut them all off: the library
// takes no context and has no time-out of its own.
type dialer struct {
	config Config

	mutex  sync.Mutex
	conns  map[net.Conn]struct{}
	stop   func() bool // ends the watch on the current call's context
	closed bool
}

func newDialer(config Config) *dialer {
	return &dialer{config: config, conns: map[net.Conn]struct{}{}}
}

// enter ties the connections to a call's context.
func (d *dialer) enter(ctx context.Context) {
	stop := context.AfterFunc(ctx, d.shut)
	d.mutex.Lock()
	d.stop = stop
	d.mutex.Unlock()
}

// leave unties them and says whether they were cut off.
func (d *dialer) leave() (cut bool) {
	d.mutex.Lock()
	stop := d.stop
	d.stop = nil
	d.mutex.Unlock()
	return stop != nil && !stop()
}

// shut closes every connection and lets no new one be made.
func (d *dialer) shut() {
	d.mutex.Lock()
	conns := d.conns
	d.closed, d.conns = true, nil
	d.mutex.Unlock()
	for conn := range conns { // outside the lock: each wants it
		_ = conn.Close()
	}
}

func (d *dialer) namenode(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dial(ctx, network, address, d.config.Timeout)
}

func (d *dialer) datanode(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dial(ctx, network, address, d.config.DataTimeout)
}

func (d *dialer) dial(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.config.Timeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	timed := &timedConn{Conn: conn, timeout: timeout, dialer: d}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	d.conns[timed] = struct{}{}
	return timed, nil
}

// timedConn gives every single read and write its own deadline. A time-out
// closes the connection: what comes late must not answer another call.
type timedConn struct {
	net.Conn
	timeout time.Duration
	dialer  *dialer
}

// Read ends at its deadline.
func (c *timedConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(c.timeout))
	n, err := c.Conn.Read(b)
	if err != nil {
		_ = c.Conn.Close()
	}
	return n, err
}

// Write ends at its deadline.
func (c *timedConn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(c.timeout))
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Conn.Close()
	}
	return n, err
}

// Close also forgets the connection.
func (c *timedConn) Close() error {
	c.dialer.mutex.Lock()
	delete(c.dialer.conns, c) // deleting from a nil map is fine
	c.dialer.mutex.Unlock()
	return c.Conn.Close()
}

// SetDeadline does nothing: the library sets none of its own.
func (c *timedConn) SetDeadline(time.Time) error { return nil }
