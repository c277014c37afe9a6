//! What a machine keeps for itself: memory and processor time that pods do not get.
//!
//! Without it pods may be promised all of a machine, and a full one loses its kubelet, its runtime or its etcd first. The
//! rule for every node is that of the large managed offerings: of memory a quarter of the first 4 GiB, a fifth of the next
//! 4, a tenth of the next 8, 6 % of the next 112 and 2 % of the rest; of processors 6 % of the first core, 1 % of the
//! second, half a percent of the third and fourth and a quarter of a percent of each further one
//! (<https://cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes>). On a control plane etcd, the API server
//! and the controllers run beside the pods: a fifth of its memory, 1 GiB at most, and a tenth of its processors, half a
//! core at most, are kept for them.
//!
//! What the kernel says of its memory differs by some megabytes from one kernel to the next. It is taken in steps of
//! 256 MiB, so that an update changes nothing and restarts no kubelet.

use serde_json::{Value, json};

use crate::context::NodePlatform;

const MIB: u64 = 1 << 20;
/// MiB of a GiB.
const GIB: u64 = 1024;
/// The steps in which memory is taken, MiB.
const STEP: u64 = 256;
/// Parts of the memory, in MiB, and how much of each is kept, in percent; of the rest the last.
const MEMORY: [(u64, u64); 5] = [
    (4 * GIB, 25),
    (4 * GIB, 20),
    (8 * GIB, 10),
    (112 * GIB, 6),
    (u64::MAX, 2),
];
/// Parts of the processors, in cores, and how much of each core is kept, in hundredths of a percent.
const PROCESSORS: [(u64, u64); 4] = [(1, 600), (1, 100), (2, 50), (u64::MAX, 25)];
/// The most that is kept for a control plane, MiB and thousandths of a core.
const CONTROL_PLANE: (u64, u64) = (GIB, 500);

/// Memory in MiB and processor time in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    memory: u64,
    processors: u64,
}

impl Amount {
    fn json(self) -> Value {
        json!({"cpu": format!("{}m", self.processors), "memory": format!("{}Mi", self.memory)})
    }
}

/// Adds what a machine keeps to its kubelet's configuration; nothing where its size is not known, as in a plan that is made
/// without machines.
pub(super) fn reserve(configuration: &mut Value, machine: &NodePlatform, is_control_plane: bool) {
    let memory = (machine.memory_bytes / MIB).next_multiple_of(STEP);
    let processors = u64::from(machine.processors);
    if memory == 0 || processors == 0 {
        return;
    }
    let kube = Amount {
        memory: of_parts(memory, &MEMORY) / 100,
        // Hundredths of a percent of a core are ten to a thousandth of it.
        processors: of_parts(processors, &PROCESSORS) / 10,
    };
    configuration["kubeReserved"] = kube.json();
    if is_control_plane {
        let system = Amount {
            memory: (memory / 5).min(CONTROL_PLANE.0),
            processors: (processors * 100).min(CONTROL_PLANE.1),
        };
        configuration["systemReserved"] = system.json();
    }
}

/// Takes each part of a whole by its own rate; returns the sum of parts times rates.
fn of_parts(whole: u64, parts: &[(u64, u64)]) -> u64 {
    let mut left = whole;
    let mut sum = 0;
    for (size, rate) in parts {
        let part = left.min(*size);
        sum += part * rate;
        left -= part;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(gib: f64, processors: u32, is_control_plane: bool) -> Value {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few GiB
        let memory_bytes = (gib * f64::from(1 << 30)) as u64;
        let machine = NodePlatform {
            memory_bytes,
            processors,
            ..NodePlatform::default()
        };
        let mut configuration = json!({});
        reserve(&mut configuration, &machine, is_control_plane);
        configuration
    }

    #[test]
    fn a_node_keeps_what_the_table_says() {
        for (gib, processors, memory, cpu) in [
            (1.0, 1, "256Mi", "60m"),
            (2.0, 2, "512Mi", "70m"),
            (4.0, 2, "1024Mi", "70m"),
            (8.0, 4, "1843Mi", "80m"),
            (16.0, 8, "2662Mi", "90m"),
            (64.0, 16, "5611Mi", "110m"),
            (256.0, 64, "12165Mi", "230m"),
        ] {
            let configuration = kept(gib, processors, false);
            let expected = json!({"kubeReserved": {"cpu": cpu, "memory": memory}});
            assert_eq!(configuration, expected, "{gib} GiB, {processors} cores");
        }
    }

    #[test]
    fn a_control_plane_keeps_more_for_what_runs_beside_its_pods() {
        for (gib, processors, memory, cpu) in [(2.0, 2, "409Mi", "200m"), (16.0, 8, "1024Mi", "500m")] {
            let configuration = kept(gib, processors, true);
            assert_eq!(
                configuration["systemReserved"],
                json!({"cpu": cpu, "memory": memory})
            );
        }
    }

    #[test]
    fn some_megabytes_more_or_less_change_nothing() {
        // What two kernels leave of the same 8 GiB.
        assert_eq!(kept(7.71, 4, true), kept(7.68, 4, true));
    }

    #[test]
    fn the_smallest_machines_keep_enough_for_the_clusters_own_pods() {
        // The least `check` lets through; CoreDNS twice and metrics-server ask for 340 MiB and 300 thousandths.
        let configuration = kept(1700.0 / 1024.0, 2, true);
        let megabytes = |name: &str| -> u64 {
            let text = configuration[name]["memory"].as_str().unwrap();
            text.trim_end_matches("Mi").parse().unwrap()
        };
        assert!(1700 - megabytes("kubeReserved") - megabytes("systemReserved") - 100 > 340);
    }

    #[test]
    fn of_an_unknown_machine_nothing_is_said() {
        assert_eq!(kept(0.0, 0, true), json!({}));
    }
}
