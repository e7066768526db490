//! What is known of a runtime as Prometheus reads it: text exposition format 0.0.4, made afresh for each scrape.
//!
//! Names, units and meanings are in `docs/observability.md`; a test holds this table and that page together.

use super::info::Metrics;
use crate::scheduler::holds::HOLD_BOUNDS_NS;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// What a term of [`Metrics::each`] is called outside, and what it means.
struct Named {
    term: &'static str,
    name: &'static str,
    help: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    /// A gauge that is told in milliseconds and shown in seconds.
    Seconds,
}

impl Named {
    fn show(&self, out: &mut MetricEncoder<'_>, n: u64) -> fmt::Result {
        match self.kind {
            Kind::Counter => out.encode_counter::<NoLabelSet, _, u64>(&n, None),
            Kind::Gauge => out.encode_gauge(&i64::try_from(n).unwrap_or(i64::MAX)),
            Kind::Seconds => out.encode_gauge(&(n as f64 / 1e3)),
        }
    }
}

const fn counter(term: &'static str, name: &'static str, help: &'static str) -> Named {
    Named { term, name, help, kind: Kind::Counter }
}

const fn gauge(term: &'static str, name: &'static str, help: &'static str) -> Named {
    Named { term, name, help, kind: Kind::Gauge }
}

/// In the order in which they are shown. Groups (counted by reason) come under the name of the group.
const NAMED: &[Named] = &[
    counter("attempted", "iris_messages_attempted", "Messages that somebody tried to send"),
    counter("accepted", "iris_messages_accepted", "Messages that a mailbox took"),
    counter("handled", "iris_messages_handled", "Messages whose handler returned"),
    gauge("queued", "iris_messages_queued", "Messages that wait in mailboxes"),
    gauge("in_flight", "iris_messages_in_flight", "Messages in the hands of a lane"),
    gauge("parked", "iris_messages_parked", "Messages that wait for a replacement"),
    counter("expired", "iris_messages_expired", "Calls dropped unhandled past their deadline"),
    counter("forwarded", "iris_messages_forwarded", "Messages that a policy moved elsewhere"),
    counter("refused", "iris_messages_refused", "Messages that no mailbox took, by reason"),
    counter("dropped", "iris_messages_dropped", "Messages that a policy dropped, by reason"),
    counter(
        "dead",
        "iris_messages_dead",
        "Messages that died with their actor, by its exit reason",
    ),
    counter("calls", "iris_calls", "Calls made"),
    counter("call_timeouts", "iris_call_timeouts", "Calls whose deadline passed"),
    counter("late_replies", "iris_late_replies", "Replies to calls that were over"),
    gauge("open_calls", "iris_open_calls", "Calls without an outcome"),
    counter("spawned", "iris_actors_spawned", "Actors begun"),
    gauge("actors", "iris_actors", "Actors that have not ended"),
    counter("exited", "iris_actors_exited", "Actors ended, by exit reason"),
    counter("restarts", "iris_restarts", "Children that supervisors restarted"),
    counter(
        "failed_starts",
        "iris_failed_starts",
        "Factories that threw or answered no live actor",
    ),
    counter("gave_up", "iris_supervisors_gave_up", "Supervisors that restarted too often"),
    gauge("names", "iris_names", "Names held"),
    gauge("paths", "iris_paths", "Paths held"),
    gauge("monitors", "iris_monitors", "Monitors whose DOWN is still to come"),
    gauge("timers", "iris_timers", "Timers that wait, the runtime's own deadlines included"),
    gauge("delays", "iris_delays", "Delayed messages and intervals that wait"),
    counter(
        "missed_ticks",
        "iris_missed_ticks",
        "Ticks of intervals skipped because they came late",
    ),
    gauge("buffers", "iris_buffers", "Buffers allocated and not sent"),
    Named {
        term: "uptime_ms",
        name: "iris_uptime_seconds",
        help: "Time since the runtime was made",
        kind: Kind::Seconds,
    },
];

impl Metrics {
    /// The Prometheus text exposition (format 0.0.4, `Content-Type: text/plain; version=0.0.4`) of these metrics.
    ///
    /// # Examples
    /// ```
    /// let rt = iris::Runtime::new(iris::Config::default())?;
    /// assert!(rt.metrics().prometheus().contains("iris_actors 0"));
    /// # Ok::<(), iris::Error>(())
    /// ```
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::new();
        // A string takes whatever is written to it.
        let _ = prometheus_text::encode(&mut text, &registry);
        text
    }
}

/// The metrics of one moment.
#[derive(Debug)]
struct Scrape(Metrics);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut terms = Vec::new();
        self.0.each(|group, term, n| terms.push((group, term, n)));
        for named in NAMED {
            let mine =
                |(group, term, _): &&(Option<&str>, &str, u64)| group.unwrap_or(term) == named.term;
            let mut found = terms.iter().filter(mine).peekable();
            if found.peek().is_none() {
                continue;
            }
            let kind = match named.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge | Kind::Seconds => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(named.name, named.help, None, kind)?;
            for (group, term, n) in found {
                match group {
                    None => named.show(&mut family, *n)?,
                    Some(_) => {
                        named.show(&mut family.encode_family(&[("reason", *term)])?, *n)?;
                    }
                }
            }
        }
        self.lanes(&mut encoder)
    }
}

impl Scrape {
    fn lanes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let labels = |number: &u32, host: &'static str| {
            [("lane", number.to_string()), ("host", host.to_owned())]
        };
        let lanes = &self.0.lanes;
        let mut turns = encoder.encode_descriptor(
            "iris_lane_turns",
            "Turns that a lane opened",
            None,
            MetricType::Counter,
        )?;
        for lane in lanes {
            let of = labels(&lane.number, lane.host);
            ConstCounter::new(lane.holds.turns).encode(turns.encode_family(&of)?)?;
        }
        let mut longest = encoder.encode_descriptor(
            "iris_lane_longest_hold_seconds",
            "Longest time that a lane kept its thread in one go",
            None,
            MetricType::Gauge,
        )?;
        for lane in lanes {
            let of = labels(&lane.number, lane.host);
            ConstGauge::new(lane.holds.longest_ns as f64 / 1e9)
                .encode(longest.encode_family(&of)?)?;
        }
        let mut holds = encoder.encode_descriptor(
            "iris_lane_hold_seconds",
            "How long a lane kept its thread in one go",
            None,
            MetricType::Histogram,
        )?;
        for lane in lanes {
            let h = &lane.holds;
            // What is longer than the last bound is in the bucket that the encoder adds, by the count.
            let buckets: Vec<_> =
                HOLD_BOUNDS_NS.iter().zip(h.buckets).map(|(ns, n)| (*ns as f64 / 1e9, n)).collect();
            let of = labels(&lane.number, lane.host);
            holds.encode_family(&of)?.encode_histogram::<NoLabelSet>(
                h.sum_ns as f64 / 1e9,
                h.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::runtime::Runtime;

    fn metrics() -> Metrics {
        let rt = Runtime::new(Config::default()).expect("a runtime");
        let lane = rt.open_lane_of("test", || ());
        lane.held(3_000_000);
        rt.metrics()
    }

    #[test]
    fn every_term_has_a_name_outside() {
        let mut nameless = Vec::new();
        metrics().each(|group, term, _| {
            let term = group.unwrap_or(term);
            if !NAMED.iter().any(|n| n.term == term) {
                nameless.push(term);
            }
        });
        nameless.dedup();
        assert!(nameless.is_empty(), "give these a name in NAMED: {nameless:?}");
    }

    /// What stands in backticks in a cell of a Markdown table.
    fn quoted(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_docs_explain_every_metric_and_no_other() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/observability.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        // A row: the metric and its labels, its unit, its meaning with the values of `reason` where they are few.
        let mut told = Vec::new();
        for row in page.lines().filter(|l| l.starts_with("| `iris_")) {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let [metric, unit, meaning] = cells[..] else { panic!("{row}") };
            assert!(!unit.is_empty() && meaning.len() > 3, "{row}");
            let metric = quoted(metric)[0];
            let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
            told.push((name.to_owned(), labels.trim_end_matches('}').to_owned()));
        }
        let text = metrics().prometheus();
        let mut shown = Vec::new();
        for name in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()) {
            let series = text
                .lines()
                .find(|l| !l.starts_with('#') && l.starts_with(name))
                .expect("each metric has a value");
            let labels = series.split_once('{').map_or("", |(_, rest)| rest);
            let labels: Vec<_> = labels
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .filter_map(|l| l.split('=').next())
                .filter(|l| !l.is_empty() && *l != "le")
                .collect();
            shown.push((name.to_owned(), labels.join(",")));
        }
        told.sort();
        shown.sort();
        assert_eq!(told, shown, "left: docs/observability.md, right: prometheus()");
        for name in ["iris_messages_refused_total", "iris_messages_dropped_total"] {
            let row = page.lines().find(|l| l.contains(name)).expect("found above");
            let told = quoted(row.rsplit(" | ").next().unwrap_or_default());
            let of = format!("{name}{{reason=\"");
            let shown: Vec<_> =
                text.lines().filter_map(|l| l.strip_prefix(&of)?.split('"').next()).collect();
            assert_eq!(told, shown, "{name}");
        }
    }

    #[test]
    fn holds_are_a_cumulative_histogram() {
        let text = metrics().prometheus();
        let at = |le: &str| {
            let head =
                format!("iris_lane_hold_seconds_bucket{{lane=\"1\",host=\"test\",le=\"{le}\"}} ");
            text.lines().find_map(|l| l.strip_prefix(&head))
        };
        assert_eq!((at("0.0025"), at("0.005"), at("+Inf")), (Some("0"), Some("1"), Some("1")));
        assert!(text.contains("iris_messages_refused_total{reason=\"full\"} 0"), "{text}");
    }
}
