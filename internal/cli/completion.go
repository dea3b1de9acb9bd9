//nolint:bodyclose // read closes the body of every answer
package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/apiclient"
	"sluice/internal/job"
)

// completeTime bounds what a shell waits for; an answer that comes later is none.
const completeTime = 2 * time.Second

// candidates gives words, each as "word\tdescription".
type candidates func(context.Context, *apiclient.Client) ([]string, error)

// complete teaches the shell what a command's first argument may be, by the name
// that its usage gives it, and the values of flags. The command "completion"
// itself is cobra's.
func (a *app) complete(command *cobra.Command) {
	for _, child := range command.Commands() {
		a.complete(child)
	}
	words := strings.Fields(command.Use)
	if len(words) > 1 {
		switch strings.Trim(words[1], "[]") {
		case "JOB":
			command.ValidArgsFunction = once(a.candidates(a.jobNames))
		case "ID":
			command.ValidArgsFunction = once(a.candidates(a.operationIDs(slices.Contains([]string{"watch", "operation"}, words[0]))))
		case "NAME":
			command.ValidArgsFunction = once(a.candidates(a.profileNames))
		case "FILE": // the shell's own
		default:
			command.ValidArgsFunction = cobra.NoFileCompletions
		}
	} else if command.Runnable() && !command.HasSubCommands() {
		command.ValidArgsFunction = cobra.NoFileCompletions
	}
	for name, values := range map[string][]string{
		"output": {table, jsonFormat, yamlFormat}, "strategy": {string(job.Warm), string(job.Cold), string(job.InPlace)},
		"kind": {string(job.Start), string(job.Upgrade), string(job.Rescale), string(job.Stop), string(job.Savepoint), string(job.Restart), string(job.Rollback)},
	} {
		a.completeFlag(command, name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	a.completeFlag(command, "profile", a.candidates(a.profileNames))
}

func (a *app) completeFlag(command *cobra.Command, name string, complete cobra.CompletionFunc) {
	if command.Flags().Lookup(name) != nil || command.PersistentFlags().Lookup(name) != nil {
		_ = command.RegisterFlagCompletionFunc(name, complete) // fails only for an unknown flag
	}
}

// candidates asks the server; whoever it can't ask gets none, and no error over
// what they type.
func (a *app) candidates(ask candidates) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		ctx, cancel := context.WithTimeout(command.Context(), completeTime)
		defer cancel()
		client, err := a.client()
		if err != nil {
			return nil, none
		}
		found, err := ask(ctx, client)
		if err != nil {
			return nil, none
		}
		return slices.DeleteFunc(found, func(word string) bool { return !strings.HasPrefix(word, typed) }), none
	}
}

// once completes the first argument only.
func once(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(command, args, typed)
	}
}

func described(word, description string) string {
	return clean(word) + "\t" + clean(description)
}

func (a *app) jobNames(ctx context.Context, client *apiclient.Client) ([]string, error) {
	list, err := read[apiclient.JobList](client.ListJobs(ctx, a.tenant, &apiclient.ListJobsParams{Limit: largestPage}))
	words := make([]string, len(list.Items))
	for i, j := range list.Items {
		words[i] = described(j.Name, j.Current.State)
	}
	return words, err
}

// operationIDs are the newest ones: all, or those that aren't over.
func (a *app) operationIDs(all bool) candidates {
	return func(ctx context.Context, client *apiclient.Client) ([]string, error) {
		list, err := read[apiclient.OperationList](client.ListOperations(ctx, a.tenant, &apiclient.ListOperationsParams{Limit: 50}))
		words := []string{}
		for _, o := range list.Items {
			if all || !o.Final {
				words = append(words, described(o.Operation, o.Kind+" "+o.Job.Name+": "+o.Phase))
			}
		}
		return words, err
	}
}

func (a *app) profileNames(ctx context.Context, client *apiclient.Client) ([]string, error) {
	list, err := read[apiclient.ProfileList](client.ListProfiles(ctx, a.tenant))
	words := make([]string, len(list.Items))
	for i, p := range list.Items {
		words[i] = described(p.Name, "parallelism "+digits(p.Parallelism))
	}
	return words, err
}
