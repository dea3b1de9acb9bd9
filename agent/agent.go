// Package agent is the process of a generation's client role, the only one that
// talks to its Flink cluster. It serves internal/agentapi: every command has a
// file of its own here (prepare.go, submit.go, …), a method on Agent of the same
// name that takes the command's In and returns its Out.
//
// It acts only on commands, never on a guess: who may submit, under which epoch
// and hold, stands on the writer lease (DESIGN §3), which it reads before every
// command and changes by compare-and-swap. Commands are harmless to repeat:
// their effects carry ids that the caller decided. It must not hold a database or
// Temporal address.
package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/flink"
	"sluice/internal/hdfs"
	"sluice/internal/lease"
	"sluice/internal/look"
	"sluice/internal/telemetry"
)

// Version is set when the binary is linked.
var Version = "dev"

// Config is all that an agent needs; Load makes one inside a pod.
type Config struct {
	Assignment agentapi.Assignment
	Doors      *tls.Config // its own certificate, and whom it lets in (pki.Server)
	Flink      *tls.Config // the key to the JobManager; nil for a Flink without TLS
	PodUID     string      // of the agent's own pod
	Leases     coordination.LeasesGetter
	Pods       core.PodsGetter
	Log        *slog.Logger
	// Scratch is a directory for jars on their way; default the system's.
	Scratch string
}

// Agent serves one generation.
type Agent struct {
	config   Config
	log      *slog.Logger
	flink    *flink.Client
	ui       look.Way // to the JobManager, for people
	looks    chan struct{}
	hdfs     *hdfs.Client
	leases   lease.Client
	key      lease.Key
	jars     jarCache
	commands *commands
	listener net.Listener

	telemetry *telemetry.Telemetry

	seen          atomic.Pointer[lease.Reading] // the Lease as this process read or wrote it last
	lastSavepoint atomic.Pointer[string]        // of this process, for people
}

// New checks the configuration and begins to listen; it connects to nothing.
func New(config Config) (*Agent, error) {
	if config.Doors == nil || config.PodUID == "" {
		return nil, failure.New(failure.Invalid, "the agent needs its keys and the uid of its pod")
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	a := config.Assignment
	jobManager, err := url.Parse(a.JobManagerURL)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the JobManager's address can't be read")
	}
	files, err := hdfs.New(hdfs.Config{Addresses: a.HDFS.NameNodes, User: a.HDFS.User, Connections: 2})
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", a.Listen)
	if err != nil {
		return nil, failure.Wrap(failure.Internal, err, "listen on %s", a.Listen)
	}
	transport := flink.NewTransport(config.Flink)
	agent := &Agent{
		config:   config,
		log:      config.Log.With("job", a.Tenant+"/"+a.Job, "generation", a.Generation),
		flink:    flink.New(a.JobManagerURL, transport),
		ui:       look.Way{To: "the JobManager", Base: jobManager, Transport: transport},
		looks:    make(chan struct{}, maxLooks),
		hdfs:     files,
		leases:   lease.Client{API: config.Leases},
		key:      lease.Key{Namespace: a.Namespace, Name: a.Job, JobUID: a.JobUID},
		listener: listener,
	}
	agent.commands = newCommands(agent.execute)
	if agent.telemetry, err = telemetry.New("sluice-agent", Version, config.Log); err != nil {
		return nil, errors.Join(err, agent.listener.Close(), files.Close())
	}
	return agent, nil
}

// Address is where the agent listens.
func (a *Agent) Address() string { return a.listener.Addr().String() }

// Run serves until ctx ends. Commands end with it: what they have put to Flink
// goes on there, and another agent finds it by its id.
func (a *Agent) Run(ctx context.Context) error {
	stopScrape, err := a.scrape(ctx)
	if err != nil {
		return err
	}
	defer stopScrape()
	a.commands.start(ctx)
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       maxWait + 30*time.Second, // it runs on while a long poll is open
		WriteTimeout:      maxWait + 30*time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // the kubelet's probe ends every handshake
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	a.log.InfoContext(ctx, "agent serves", "address", a.Address(), "version", Version)
	err = server.Serve(tls.NewListener(a.listener, a.config.Doors))
	a.commands.wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return failure.Wrap(failure.Internal, err, "serve")
}

// Close frees what New took.
func (a *Agent) Close() error {
	a.flush()
	return errors.Join(a.listener.Close(), a.hdfs.Close())
}
