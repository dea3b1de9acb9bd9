// Package kube is the platform's hand on one Kubernetes cluster: one shared
// transport, writes that a repeat doesn't harm, waits by watch that say what
// they wait for, and errors as internal/failure. It decides nothing.
package kube

import (
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/internal/failure"
)

// Options of New.
type Options struct {
	Kubeconfig string  // file; "": KUBECONFIG, else the pod's own service account
	QPS        float32 // client-go's own 5 a second are a hundredfold bug for a fleet; 0: 100
	UserAgent  string
}

// Cluster is one Kubernetes API server. Make one a process and share it: its
// connections and its rate limit are per Cluster.
type Cluster struct {
	kubernetes.Interface
	Config *rest.Config
}

// New reads the configuration; it doesn't call the server.
func New(options Options) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = options.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "no way to Kubernetes is configured").
			WithNext("run in a pod with a service account, or set KUBECONFIG")
	}
	config.QPS = options.QPS
	if config.QPS <= 0 {
		config.QPS = 100
	}
	config.Burst = int(config.QPS) * 2
	config.UserAgent = options.UserAgent
	if config.UserAgent == "" {
		config.UserAgent = "sluice"
	}
	// A fifth of JSON's size and work; only built-in kinds are used.
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "the Kubernetes configuration is not usable")
	}
	return &Cluster{Interface: client, Config: config}, nil
}

// CallTimeout bounds one call: a server that doesn't answer within it is
// Unavailable, and the call is made again.
const CallTimeout = 15 * time.Second
