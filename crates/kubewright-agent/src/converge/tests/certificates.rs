//! When certificates are issued, and what is accepted as one.

use super::*;

#[test]
fn a_certificate_is_issued_again_for_each_reason() {
    let reason_after = |change: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        change(&mut bench);
        let found = bench.inspect();
        let found = found
            .into_iter()
            .find(|found| found.resource.kind() == "certificate");
        let Some(Change::Certificate { problem }) = found.map(|found| found.change) else {
            panic!("not to be issued again")
        };
        bench.converge_all().unwrap();
        assert!(
            !bench
                .inspect()
                .iter()
                .any(|found| found.resource.kind() == "certificate"),
            "{problem}"
        );
        problem.to_string()
    };
    let with =
        |wanted: Certificate| move |bench: &mut Bench| bench.replace(Resource::Certificate(wanted.clone()));
    let mut names = certificate();
    names.addresses = vec!["192.0.2.9".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(
        reason_after(&with(names)),
        "names differ: 192.0.2.9 missing, 192.0.2.1 no longer wanted"
    );
    let mut groups = certificate();
    groups.organizations = vec!["more".to_owned()];
    assert_eq!(
        reason_after(&with(groups)),
        "groups differ: more missing, system:nodes no longer wanted"
    );
    let mut usages = certificate();
    usages.usages = vec![Usage::ClientAuth];
    assert_eq!(
        reason_after(&with(usages)),
        "usages differ: server no longer wanted"
    );
    let mut name = certificate();
    name.common_name = "other".to_owned();
    assert_eq!(reason_after(&with(name)), "its name is \"system:node:n1\"");
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            std::fs::remove_file(bench.system.path("/etc/demo/pki/demo.key")).unwrap();
        }),
        "its key is missing"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
            bench.system.put("/etc/demo/pki/demo.key", &key);
        }),
        "its key is another one"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| bench.system.put("/etc/demo/pki/demo.crt", "garbage")),
        "it cannot be read"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            bench.system.simulated().now = Some(NOW + 300 * 86_400);
            bench.controller.not_after = (2026, 1, 1);
        }),
        "it expires in 52 days"
    );
    assert_eq!(
        reason_after(&|bench: &mut Bench| {
            let secrets = std::mem::take(&mut bench.controller.secrets);
            bench.controller = TestController::new();
            bench.controller.secrets = secrets;
            let pem = bench.controller.authority_pem.clone();
            bench.state.authorities.insert(AuthorityName::Kubernetes, pem);
        }),
        "another authority signed it"
    );
}

#[test]
fn nothing_comes_between_putting_a_key_and_its_certificate_in_place() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let done = bench.system.simulated().done.clone();
    let placed = done
        .iter()
        .position(|doing| doing == "rename /etc/demo/pki/demo.key");
    assert_eq!(
        done[placed.unwrap() + 1],
        "rename /etc/demo/pki/demo.crt",
        "{done:#?}"
    );
}

/// A bench whose authority ends on that day.
fn bench_until(day: (i32, u8, u8)) -> Bench {
    let mut bench = Bench::new();
    let secrets = std::mem::take(&mut bench.controller.secrets);
    let blobs = std::mem::take(&mut bench.controller.blobs);
    bench.controller = TestController::until(day);
    (bench.controller.secrets, bench.controller.blobs) = (secrets, blobs);
    let pem = bench.controller.authority_pem.clone();
    bench.state.authorities.insert(AuthorityName::Kubernetes, pem);
    bench
}

#[test]
fn in_an_authoritys_last_days_a_certificate_is_good_for_as_long_as_it() {
    let mut bench = bench_until((2024, 1, 1));
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), [], "a new one would not last longer");
}

#[test]
fn a_certificate_that_ends_long_before_its_authority_is_issued_again() {
    let mut bench = bench_until((2024, 6, 1));
    bench.controller.not_after = (2024, 1, 1);
    let error = bench.converge_all().unwrap_err();
    assert!(error.cause.contains("it expires in "), "{error}");
    bench.controller.not_after = (2024, 6, 1);
    bench.converge_all().unwrap();
    assert_eq!(bench.inspect(), []);
    bench.system.simulated().now = Some(NOW + 150 * 86_400);
    assert_eq!(bench.inspect(), []);
}

#[test]
fn a_certificate_its_user_renews_is_left_alone() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let pair = bench.system.get("/etc/demo/pki/demo.crt") + &bench.system.get("/etc/demo/pki/demo.key");
    bench.system.put("/var/lib/demo/2024.pem", &pair);
    std::os::unix::fs::symlink(
        "/var/lib/demo/2024.pem",
        bench.system.path("/var/lib/demo/current.pem"),
    )
    .unwrap();
    std::fs::remove_file(bench.system.path("/etc/demo/pki/demo.key")).unwrap();
    assert_eq!(bench.inspect(), []);
    bench.system.simulated().now = Some(NOW + 400 * 86_400);
    assert_eq!(
        ids(&bench.inspect()),
        ["certificate:/etc/demo/pki/demo.crt", "unit:demo.service"]
    );
}

#[test]
fn a_signature_for_something_else_is_refused_and_the_old_pair_stays() {
    let mut bench = Bench::new();
    bench.converge_all().unwrap();
    let before = bench.system.get("/etc/demo/pki/demo.key");
    let mut wanted = certificate();
    wanted.common_name = "other".to_owned();
    bench.replace(Resource::Certificate(wanted));
    bench.controller.not_after = (2023, 11, 2);
    let error = bench.converge_all().unwrap_err();
    assert!(error.cause.contains("it has expired"), "{error}");
    assert_eq!(bench.system.get("/etc/demo/pki/demo.key"), before);
}

/// A process that reads the pair while it changes, or after a power cut, finds two halves that do not belong together
/// at one instant only: there is no way to rename two files at once.
#[test]
fn nothing_comes_between_a_key_and_its_certificate() {
    let mut apart = 0;
    for cut in 0.. {
        let mut bench = Bench::new();
        bench.converge_all().unwrap();
        let mut wanted = certificate();
        wanted.addresses = vec!["192.0.2.9".parse().unwrap()];
        bench.replace(Resource::Certificate(wanted));
        {
            let mut simulated = bench.system.simulated();
            (simulated.effects, simulated.power_cut_at) = (0, Some(cut));
        }
        let is_done = bench.converge_all().is_ok();
        let pair = ["/etc/demo/pki/demo.crt", "/etc/demo/pki/demo.key"].map(|path| bench.system.get(path));
        apart += usize::from(!crate::x509::key_matches(pair[0].as_bytes(), pair[1].as_bytes()));
        if is_done {
            break;
        }
    }
    assert_eq!(apart, 1);
}
