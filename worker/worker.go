// Package worker is one site's worker: workflow code on the queue "flow", the
// site's activities on "site/<name>" and the site's observer, all in one
// process that can be built in a test. It holds no state: kill it at any time.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	agentactivities "sluice/activities/agent"
	hdfsactivities "sluice/activities/hdfs"
	kafkaactivities "sluice/activities/kafka"
	kubeactivities "sluice/activities/kube"
	"sluice/activities/record"
	"sluice/internal/agentapi"
	"sluice/internal/config"
	"sluice/internal/failure"
	"sluice/internal/hdfs"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/observer"
	"sluice/internal/pki"
	"sluice/internal/store"
	"sluice/internal/telemetry"
	"sluice/internal/telemetry/ontemporal"
	"sluice/workflows/upgrade"
)

// Worker is one process. Make it with New.
type Worker struct {
	config   config.Worker
	log      *slog.Logger
	temporal client.Client
	store    *store.Store
	hdfs     *hdfs.Client
	observer *observer.Observer
	flow     worker.Worker
	site     worker.Worker
	http     *http.Server
	metrics  *metrics
	scrape   *http.Server // nil: metrics aren't served
	fatal    chan error
}

// New connects to everything and registers; nothing is polled before Run.
func New(ctx context.Context, c config.Worker, log *slog.Logger) (_ *Worker, err error) {
	w := &Worker{config: c, log: log, fatal: make(chan error, 4)}
	defer func() { //nolint:contextcheck // the last spans go though ctx is over
		if err != nil {
			w.Close()
		}
	}()
	dsn, err := c.Database.Connection()
	if err != nil {
		return nil, err
	}
	if w.store, err = store.Open(dsn, store.Options{MaxConnections: c.Database.MaxConnections}); err != nil {
		return nil, err
	}
	if w.hdfs, err = hdfs.New(hdfs.Config{Addresses: c.HDFS.NameNodes, User: c.HDFS.User}); err != nil {
		return nil, err
	}
	cluster, err := kube.New(kube.Options{QPS: c.KubernetesQPS, UserAgent: "sluice-worker"})
	if err != nil {
		return nil, err
	}
	if w.metrics, err = newMetrics(c, log); err != nil { //nolint:contextcheck // spans are sent for as long as the process lives
		return nil, err
	}
	if w.temporal, err = client.DialContext(ctx, client.Options{
		HostPort: c.Temporal.Address, Namespace: c.Temporal.Namespace, Logger: temporallog.NewStructuredLogger(log),
		Interceptors: ontemporal.Interceptors(w.metrics.telemetry),
	}); err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "Temporal at %s does not answer", c.Temporal.Address)
	}
	if err = w.registerSearchAttributes(ctx); err != nil {
		return nil, err
	}
	authority, err := pki.LoadAuthority(c.Authority.CertificateFile, c.Authority.KeyFile, c.Authority.TrustFile)
	if err != nil {
		return nil, err
	}
	doors, err := authority.Client(pki.Worker)
	if err != nil {
		return nil, err
	}
	w.build(cluster, authority, agentapi.NewClient(doors))
	return w, w.metrics.look(w.observer.Leads, w.temporal, c)
}

func (w *Worker) build(cluster *kube.Cluster, authority *pki.Authority, agents *agentapi.Client) {
	onFatal := func(err error) { w.fatal <- err }
	shared := worker.Options{
		Interceptors:                 []interceptor.WorkerInterceptor{&edge{log: w.log, metrics: w.metrics}},
		WorkerStopTimeout:            w.config.ShutdownGrace,
		OnFatalError:                 onFatal,
		StickyScheduleToStartTimeout: 2 * time.Second, // a killed worker's runs are picked up after it
		MaxHeartbeatThrottleInterval: time.Second,     // progress on the screen is at most a second old
	}
	w.flow = worker.New(w.temporal, job.FlowQueue, shared)
	w.flow.RegisterWorkflowWithOptions(upgrade.Workflow, workflow.RegisterOptions{Name: upgrade.WorkflowName})
	w.flow.RegisterWorkflowWithOptions(upgrade.Recording, workflow.RegisterOptions{Name: upgrade.RecordingName})
	w.flow.RegisterWorkflowWithOptions(upgrade.PlanOnly, workflow.RegisterOptions{Name: upgrade.PlanName})
	(&record.Activities{Store: w.store, Namespaces: config.Namespaces(w.config.Tenants), FS: w.config.HDFS.FS()}).Register(w.flow)

	w.site = worker.New(w.temporal, job.SiteQueue(w.config.Site), shared)
	kubeActivities := kubeactivities.New(w.kubeConfig(authority), cluster)
	kubeActivities.Register(w.site)
	agentactivities.New(agents, kubeActivities).Register(w.site)
	hdfsactivities.New(w.hdfs, hdfsactivities.Site{FS: w.config.HDFS.FS(), Roots: config.SnapshotRoots(w.config.Tenants)}).Register(w.site)
	kafkaactivities.New(w.config.Kafka.Brokers).Register(w.site)

	w.observer = observer.New(observer.Config{
		Cluster: cluster, Record: w.store, Incidents: incidents{w.temporal, w.config.Site}, Runs: runs{w.temporal}, Log: w.log, Site: w.config.Site, Namespaces: w.namespaces(),
		LeaseNamespace: w.config.Namespace, Identity: hostname(),
	})
	w.http = &http.Server{Addr: w.config.Listen, Handler: w.health(), ReadHeaderTimeout: 5 * time.Second}
	if w.config.MetricsListen != "" {
		w.scrape = &http.Server{Addr: w.config.MetricsListen, Handler: w.metrics.handler(), ReadHeaderTimeout: 5 * time.Second}
	}
}

func (w *Worker) kubeConfig(authority *pki.Authority) kubeactivities.Config {
	c := kubeactivities.Config{
		Site: w.config.Site, AgentImage: w.config.AgentImage, HDFSURI: w.config.HDFS.FS(), Placement: w.config.PlacementGrace,
		HDFS:    agentapi.HDFS{NameNodes: w.config.HDFS.NameNodes, User: w.config.HDFS.User},
		Engines: map[job.Engine]string{}, Tenants: map[string]kubeactivities.Tenant{},
		Collector: telemetry.Collector(),
		Authority: authority, Namespace: w.config.Namespace, Monitoring: w.config.MonitoringNamespace,
	}
	for _, e := range w.config.Engines {
		c.Engines[job.Engine{Name: e.Name, Version: e.Version}] = e.Image
	}
	for _, t := range w.config.Tenants {
		c.Tenants[t.Name] = kubeactivities.Tenant{Namespace: t.Namespace, AgentImage: t.AgentImage}
	}
	return c
}

func (w *Worker) namespaces() []string {
	all := make([]string, 0, len(w.config.Tenants))
	for _, t := range w.config.Tenants {
		all = append(all, t.Namespace)
	}
	return all
}

// Run polls until ctx ends or something fatal happens, then lets running
// activities end within the grace.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := w.flow.Start(); err != nil {
		return fmt.Errorf("start the flow worker: %w", err)
	}
	defer w.flow.Stop()
	if err := w.site.Start(); err != nil {
		return fmt.Errorf("start the site worker: %w", err)
	}
	defer w.site.Stop()
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() {
		if err := w.observer.Run(ctx); err != nil && ctx.Err() == nil {
			w.fatal <- fmt.Errorf("observer: %w", err)
		}
	})
	servers := []*http.Server{w.http}
	if w.scrape != nil {
		servers = append(servers, w.scrape)
	}
	for _, server := range servers {
		background.Go(func() {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				w.fatal <- fmt.Errorf("listen: %w", err)
			}
		})
	}
	defer func() {
		for _, server := range servers {
			_ = server.Close()
		}
	}()
	w.log.InfoContext(ctx, "worker runs", "site", w.config.Site, "queues", strings.Join([]string{job.FlowQueue, job.SiteQueue(w.config.Site)}, " "))
	select {
	case <-ctx.Done():
		return nil
	case err := <-w.fatal:
		return err
	}
}

// flushTime is for the last spans of a process that ends.
const flushTime = 2 * time.Second

// Close ends the connections; call it after Run.
func (w *Worker) Close() {
	if w.metrics != nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		w.metrics.telemetry.Close(ctx)
	}
	if w.temporal != nil {
		w.temporal.Close()
	}
	if w.hdfs != nil {
		_ = w.hdfs.Close()
	}
	if w.store != nil {
		_ = w.store.Close()
	}
}

// health answers the kubelet: alive always, ready when the record store is.
func (w *Worker) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/readyz", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.store.Ping(r.Context()); err != nil {
			http.Error(rw, "the record store does not answer", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "worker"
	}
	return name
}
