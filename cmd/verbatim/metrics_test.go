package main

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"verbatim/internal/engines"
)

// The load of a model is shown under its name as soon as it is open.
func TestModelMetrics(t *testing.T) {
	library := engines.New(engines.Device{Name: "cpu", Level: "generic", Threads: 1}, "", nil)
	defer library.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(modelMetrics{library})
	if got, err := registry.Gather(); len(got) != 0 || err != nil {
		t.Errorf("nothing is open: %v, %v", got, err)
	}
	engine, err := library.Engine(context.Background(), "embedded")
	if err != nil {
		t.Fatal(err)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			found[family.GetName()] = metric.String()
		}
	}
	if len(found) != len(modelMetricList()) {
		t.Errorf("got %v, want %d metrics", found, len(modelMetricList()))
	}
	got := found["verbatim_model_sessions"]
	for _, want := range []string{`"embedded"`, `"cpu generic"`, "gauge:{value:1}"} {
		if !strings.Contains(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("got %s, want it to say %s", got, want)
		}
	}
}
