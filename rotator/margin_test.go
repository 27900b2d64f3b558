package rotator_test

import (
	"context"
	"testing"
	"time"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

// clock tells until when it may work.
type clock struct {
	rotator.Store
	until time.Time
}

func (c *clock) Describe(ctx context.Context, _ string) (rotator.Metadata, error) {
	c.until, _ = ctx.Deadline()
	return rotator.Metadata{}, rotator.KindAccessDenied
}

// TestAStepEndsBeforeLambdaDoes: a step that Lambda ends cannot say why.
func TestAStepEndsBeforeLambdaDoes(t *testing.T) {
	for margin, want := range map[time.Duration]time.Duration{0: 500 * time.Millisecond,
		2 * time.Second: 2 * time.Second} {
		deadline := time.Now().Add(time.Hour)
		ctx, cancel := context.WithDeadline(t.Context(), deadline)
		defer cancel()
		c := &clock{}
		err := rotator.Rotator{Store: c, DeadlineMargin: margin}.Handle(ctx, rotator.Event{
			Step: rotator.StepCreateSecret, SecretID: "app", VersionID: "00000000-0000-4000-8000-000000000001",
		})
		if rotator.KindOf(err) != rotator.KindAccessDenied || !c.until.Equal(deadline.Add(-want)) {
			t.Errorf("Margin %v: %v; the step has until %v before Lambda's end, want %v", margin, err,
				deadline.Sub(c.until), want)
		}
	}
}
