// Package hdfs is the platform's client for HDFS: the artifact store, the
// directories of jobs, and the proof that a snapshot is complete. Every call
// ends: with an answer of the NameNode, at its context's end, or at a deadline
// of the wire. NotFound is said only when the NameNode said so; a NameNode that
// is away, standing by or in safe mode is Unavailable.
// It must not know Flink's REST, Kubernetes or Temporal.
package hdfs

import (
	"context"
	"sync"
	"time"

	colinmarc "github.com/colinmarc/hdfs/v2"

	"sluice/internal/failure"
)

// Config of a client.
type Config struct {
	Addresses []string // NameNodes, host:port
	User      string   // that the client acts as
	// Group of the directories that Flink's user writes too; "" leaves what HDFS
	// inherits from the parent.
	Group string
	// Connections bounds the parallel calls; the library serialises all calls of
	// one of its clients. Default 8.
	Connections int
	// Timeout of one read or write on a connection to a NameNode; default 20 s. The
	// library itself waits for ever on a frozen one.
	Timeout time.Duration
	// DataTimeout is the same towards DataNodes; default 60 s.
	DataTimeout time.Duration
}

// Client is safe for concurrent use.
type Client struct {
	config Config
	slots  chan struct{}

	mutex  sync.Mutex
	idle   []*session
	closed bool
}

// idleTime is how long an unused session stays: each renews its (empty) leases
// every second, which thousands of agents would make a load.
const idleTime = 5 * time.Second

// New makes a client; it connects at the first call.
func New(config Config) (*Client, error) {
	if len(config.Addresses) == 0 || config.User == "" {
		return nil, failure.New(failure.Invalid, "HDFS needs the addresses of its NameNodes and a user")
	}
	if config.Connections <= 0 {
		config.Connections = 8
	}
	if config.Timeout <= 0 {
		config.Timeout = 20 * time.Second
	}
	if config.DataTimeout <= 0 {
		config.DataTimeout = time.Minute
	}
	return &Client{config: config, slots: make(chan struct{}, config.Connections)}, nil
}

// Close ends all idle sessions; those in use end with their call.
func (c *Client) Close() error {
	c.mutex.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mutex.Unlock()
	for _, s := range idle {
		s.discard()
	}
	return nil
}

// session is one client of the library with the connections that it opened.
type session struct {
	hdfs   *colinmarc.Client
	dialer *dialer
	reused bool
	expire *time.Timer
}

func (s *session) discard() {
	if s.expire != nil {
		s.expire.Stop()
	}
	s.dialer.shut()
	_ = s.hdfs.Close() // its connections are closed already: it can't block
}

// acquire gives a session to one caller; release gives it back.
func (c *Client) acquire(ctx context.Context, fresh bool) (*session, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, failure.Wrap(failure.Unavailable, ctx.Err(), "all %d connections to HDFS are in use", c.config.Connections)
	}
	if !fresh {
		if s := c.takeIdle(); s != nil {
			s.reused = true
			s.dialer.enter(ctx)
			return s, nil
		}
	}
	d := newDialer(c.config)
	d.enter(ctx)
	client, err := colinmarc.NewClient(colinmarc.ClientOptions{
		Addresses: c.config.Addresses, User: c.config.User,
		NamenodeDialFunc: d.namenode, DatanodeDialFunc: d.datanode,
	})
	if err != nil {
		d.leave()
		<-c.slots
		return nil, failure.Wrap(failure.Unavailable, err, "HDFS can't be reached at %v", c.config.Addresses)
	}
	return &session{hdfs: client, dialer: d}, nil
}

func (c *Client) takeIdle() *session {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for len(c.idle) > 0 {
		s := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if s.expire.Stop() { // else its timer is about to discard it
			return s
		}
	}
	return nil
}

// release keeps a session only after an answer: one whose call was cut off could
// read that call's late answer as the next one's.
func (c *Client) release(s *session, err error) {
	cut := s.dialer.leave()
	keep := !cut && answered(err)
	if keep {
		c.mutex.Lock()
		if keep = !c.closed; keep {
			s.expire = time.AfterFunc(idleTime, func() { c.expire(s) })
			c.idle = append(c.idle, s)
		}
		c.mutex.Unlock()
	}
	if !keep {
		s.discard()
	}
	<-c.slots
}

func (c *Client) expire(s *session) {
	c.mutex.Lock()
	for i := range c.idle {
		if c.idle[i] == s {
			c.idle = append(c.idle[:i], c.idle[i+1:]...)
			break
		}
	}
	c.mutex.Unlock()
	s.discard()
}

// read makes a call that may be repeated: a connection that had gone stale while
// idle (a NameNode restarted) is replaced once.
func (c *Client) read(ctx context.Context, name string, call func(*colinmarc.Client) error) error {
	return c.do(ctx, name, call, func(error) bool { return true })
}

// write makes a call that may not be repeated blindly; it is, once, when it was
// certainly never sent.
func (c *Client) write(ctx context.Context, name string, call func(*colinmarc.Client) error) error {
	return c.do(ctx, name, call, neverSent)
}

func (c *Client) do(ctx context.Context, name string, call func(*colinmarc.Client) error, repeatable func(error) bool) error {
	for fresh := false; ; fresh = true {
		s, err := c.acquire(ctx, fresh)
		if err != nil {
			return err
		}
		err = call(s.hdfs)
		stale := s.reused && !answered(err) && ctx.Err() == nil
		c.release(s, err)
		if stale && repeatable(err) {
			continue
		}
		if err != nil && ctx.Err() != nil {
			return failure.Wrap(failure.Unavailable, ctx.Err(), "HDFS did not answer in time for %s", name)
		}
		return translate(err, name)
	}
}
