package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"verbatim/cu"
)

// Metrics counts what a unit and its server do. Give Observe to the unit's configuration.
type Metrics struct {
	registry       *prometheus.Registry
	evaluations    *prometheus.CounterVec
	seconds        *prometheus.HistogramVec
	tokens         *prometheus.CounterVec
	inferences     *prometheus.CounterVec
	gas            *prometheus.CounterVec
	requests       prometheus.Gauge
	requestSeconds *prometheus.HistogramVec
}

// NewMetrics gives metrics that are all zero.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		evaluations: counter("verbatim_cu_evaluations_total",
			"Evaluations done. Kind: message, dry_run, or recovery (done again from the log). Outcome: ok, or error for a result with an Error.", "kind", "outcome"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "verbatim_cu_evaluation_seconds", Help: "Duration of evaluations, inferences included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"kind"}),
		tokens:     counter("verbatim_cu_tokens_total", "Output tokens of inferences.", "kind"),
		inferences: counter("verbatim_cu_inferences_total", "Inferences asked for by processes, refused ones included.", "kind"),
		gas:        counter("verbatim_cu_gas_total", "Gas used by evaluations.", "kind"),
		requests:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "verbatim_http_requests_in_flight", Help: "HTTP requests under way."}),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "verbatim_http_request_seconds", Help: "Duration of HTTP requests.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"method", "route", "status"}),
	}
	m.registry.MustRegister(m.evaluations, m.seconds, m.tokens, m.inferences, m.gas, m.requests, m.requestSeconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts an evaluation.
func (m *Metrics) Observe(o cu.Observation) {
	kind, outcome := "message", "ok"
	switch {
	case o.DryRun:
		kind = "dry_run"
	case o.Recovery:
		kind = "recovery"
	}
	if o.Failed {
		outcome = "error"
	}
	m.evaluations.WithLabelValues(kind, outcome).Inc()
	m.seconds.WithLabelValues(kind).Observe(o.Duration.Seconds())
	m.tokens.WithLabelValues(kind).Add(float64(o.Tokens))
	m.inferences.WithLabelValues(kind).Add(float64(o.Inferences))
	m.gas.WithLabelValues(kind).Add(float64(o.Gas))
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
