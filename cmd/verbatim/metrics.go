package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"verbatim/cu/eval"
	"verbatim/internal/engines"
)

// modelMetrics shows the load of every open model.
type modelMetrics struct{ library *engines.Library }

// modelMetric is one number of a model's load.
type modelMetric struct {
	name, help string
	kind       prometheus.ValueType
	of         func(engines.Load) float64
}

func modelMetricList() []modelMetric {
	return []modelMetric{
		{"verbatim_model_sessions", "Sequences that are open.", prometheus.GaugeValue, func(l engines.Load) float64 { return float64(l.Sessions) }},
		{"verbatim_model_waiting", "Sequences that wait for a pass, or are in one.", prometheus.GaugeValue, func(l engines.Load) float64 { return float64(l.Waiting) }},
		{"verbatim_model_passes_total", "Evaluations of the model, each for all sequences that waited.", prometheus.CounterValue, func(l engines.Load) float64 { return float64(l.Passes) }},
		{"verbatim_model_tokens_total", "Tokens evaluated, of prompts and of answers.", prometheus.CounterValue, func(l engines.Load) float64 { return float64(l.Rows) }},
		{"verbatim_model_setbacks_total", "Sequences that lost their memory to earlier ones and began anew.", prometheus.CounterValue, func(l engines.Load) float64 { return float64(l.SetBacks) }},
		{"verbatim_model_card_bytes", "Memory of graphics cards that the model has taken, with its sequences; 0 on a CPU.", prometheus.GaugeValue, func(l engines.Load) float64 { return float64(l.MemoryUsed) }},
		{"verbatim_model_card_budget_bytes", "Memory of graphics cards that the model may take; 0 on a CPU.", prometheus.GaugeValue, func(l engines.Load) float64 { return float64(l.MemoryBudget) }},
	}
}

func (m modelMetric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.name, m.help, []string{"model", "backend", "device"}, nil)
}

// Describe implements prometheus.Collector.
func (c modelMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, m := range modelMetricList() {
		to <- m.desc()
	}
}

// Collect implements prometheus.Collector.
func (c modelMetrics) Collect(to chan<- prometheus.Metric) {
	for _, load := range c.library.Loads() {
		for _, m := range modelMetricList() {
			to <- prometheus.MustNewConstMetric(m.desc(), m.kind, m.of(load), load.Model, load.Backend.Name+" "+load.Backend.Level, load.Backend.Device)
		}
	}
}

// instanceMetrics show what the host of modules keeps at hand.
func instanceMetrics(host *eval.Host) []prometheus.Collector {
	gauge := func(name, help string, of func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, of)
	}
	return []prometheus.Collector{
		gauge("verbatim_cu_instances", "Instances of modules that wait for the next message of a process.", func() float64 { n, _ := host.Kept(); return float64(n) }),
		gauge("verbatim_cu_instance_bytes", "About how much memory they take.", func() float64 { _, bytes := host.Kept(); return float64(bytes) }),
	}
}
