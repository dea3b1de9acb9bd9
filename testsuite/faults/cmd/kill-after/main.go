// kill-after kills the processes of pods (kill -9) in the moment when an
// activity of a running workflow completed.
//
//	kill-after WORKFLOW-ID ACTIVITY BEFORE NAMESPACE SELECTOR
//
// It fails when the activity BEFORE had completed by then: the kill was late.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"sluice/testsuite/faults"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: kill-after WORKFLOW-ID ACTIVITY BEFORE NAMESPACE SELECTOR")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, "kill-after:", err)
		os.Exit(1)
	}
}

func run(workflowID, activity, before, namespace, selector string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	temporal, err := client.Dial(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS"), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	defer temporal.Close()
	pids, err := faults.Processes(ctx, kube, namespace, selector)
	if err != nil {
		return err
	}
	if err := faults.AfterActivity(ctx, temporal, workflowID, activity); err != nil {
		return err
	}
	if err := faults.Kill(pids); err != nil {
		return err
	}
	late, err := faults.Completed(ctx, temporal, workflowID, before)
	if err != nil {
		return err
	}
	if late {
		return fmt.Errorf("%s had completed already: the kill came too late to show anything", before)
	}
	fmt.Printf("kill -9 of %v, after %s and before %s\n", pids, activity, before)
	return nil
}
