package kube

import (
	"context"
	"fmt"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice/internal/agentapi"
	"sluice/internal/failure"
	"sluice/internal/job"
	"sluice/internal/kube"
	"sluice/internal/manifest"
)

// Endpoint is how to reach a generation's agent. The token is read from the
// generation's Secret, at most once a minute: it never goes through a history.
func (a *Activities) Endpoint(ctx context.Context, identity job.Identity, generation int) (agentapi.Endpoint, error) {
	if _, err := a.tenant(identity); err != nil {
		return agentapi.Endpoint{}, err
	}
	endpoint := agentapi.Endpoint{URL: agentapi.ServiceURL(identity, generation)}
	if found, ok := a.tokens.Load(tokenKey(identity, generation)); ok {
		if cached, ok := found.(cachedToken); ok && time.Since(cached.read) < tokenAge {
			endpoint.Token = cached.token
			return endpoint, nil
		}
	}
	token, err := a.readToken(ctx, identity, manifest.Of(identity, generation))
	if err != nil {
		return agentapi.Endpoint{}, err
	}
	a.tokens.Store(tokenKey(identity, generation), cachedToken{token: token, read: time.Now()})
	endpoint.Token = token
	return endpoint, nil
}

const tokenAge = time.Minute

type cachedToken struct {
	token string
	read  time.Time
}

// The uid keeps a job apart from one of the same name that was deleted.
func tokenKey(identity job.Identity, generation int) string {
	return fmt.Sprintf("%s/%d", identity.UID, generation)
}

func (a *Activities) forgetToken(identity job.Identity, generation int) {
	a.tokens.Delete(tokenKey(identity, generation))
}

func (a *Activities) readToken(ctx context.Context, identity job.Identity, name manifest.Name) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, kube.CallTimeout)
	defer cancel()
	what := fmt.Sprintf("Secret %s/%s", identity.Namespace, name.Keys())
	secret, err := a.cluster.CoreV1().Secrets(identity.Namespace).Get(ctx, name.Keys(), meta.GetOptions{})
	if err != nil {
		return "", kube.Translate(err, what)
	}
	if uid := secret.Annotations[manifest.AnnotationJobUID]; uid != identity.UID {
		return "", failure.New(failure.Conflict, "%s belongs to job uid %s, not %s", what, uid, identity.UID)
	}
	token := string(secret.Data[agentapi.TokenKey])
	if token == "" {
		return "", failure.New(failure.Internal, "%s has no %s", what, agentapi.TokenKey)
	}
	return token, nil
}
