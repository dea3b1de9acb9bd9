//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
)

type decision func(*apiclient.Client, context.Context, apiclient.TenantName, apiclient.OperationID, apiclient.CancelOperationJSONRequestBody, ...apiclient.RequestEditorFn) (*http.Response, error)

func (a *app) decisionCommand(use, short string, decide decision) *cobra.Command {
	var reason string
	command := &cobra.Command{Use: use, Short: short, Args: arguments(1, 1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.client()
		if err != nil {
			return err
		}
		o, err := read[apiclient.Operation](decide(client, c.Context(), a.tenant, args[0], apiclient.Decision{Reason: reason}))
		if err != nil {
			return err
		}
		return a.print(o, "", [][]string{{"operation", o.Operation}, {"phase", o.Phase}})
	}}
	command.Flags().StringVar(&reason, "reason", "", "shown to people, at most 200 characters")
	return command
}
