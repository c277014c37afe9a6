//! Waiting on the node for a named condition, with a bound: no round trip per look.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use kubewright_core::errors::ErrorId;
use kubewright_core::http::{Afterwards, ResponseReader, get as get_request};
use kubewright_core::wire::{Explanation, NodeCondition, NodeError, UnitReport, last_word};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::fault::{Doing as _, fault};
use crate::resource::unit;
use crate::system::System;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one look may take at first; one that brought no answer in time gives the next twice as long.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 3000 });
/// No look takes longer: a server that needs more to say that it is ready is not.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// Even when the time is over there is one look.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
/// As much of an answer is read as tells why a server is not ready.
const LONGEST_BODY: usize = 8 << 10;

/// Between two looks at the unit whose server is waited for.
const UNIT_PAUSE: Duration = Duration::from_secs(1);

/// Waits until a condition holds, the time is over or `stop` says so; not for a unit that ends again and again.
///
/// # Errors
/// When it did not hold in time: with what was last seen, and the unit's last lines when it is about a unit.
pub fn wait(
    system: &dyn System,
    condition: &NodeCondition,
    timeout: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<(), NodeError> {
    let deadline = system.uptime() + timeout;
    let mut parts = condition.parts().iter();
    parts.try_for_each(|part| wait_for(system, part, deadline, timeout, stop))
}

fn wait_for(
    system: &dyn System,
    condition: &NodeCondition,
    deadline: Duration,
    timeout: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<(), NodeError> {
    let mut patience = LOOK;
    let mut next_look_at_unit = Duration::ZERO;
    loop {
        let begun = std::time::Instant::now();
        let left = deadline.saturating_sub(system.uptime());
        let seen = match look(system, condition, left.clamp(SHORTEST_LOOK, patience)) {
            Ok(()) => return Ok(()),
            Err(seen) => seen,
        };
        if begun.elapsed() >= patience {
            patience = (patience * 2).min(LONGEST_LOOK);
        }
        let now = system.uptime();
        if let Some(unit) = condition.unit().filter(|_| now >= next_look_at_unit) {
            next_look_at_unit = now + UNIT_PAUSE;
            refuse_hopeless(system, condition, unit)?;
        }
        let left = deadline.saturating_sub(now);
        if left.is_zero() || stop() {
            let cause = format!("not so after {} s: {seen}", timeout.as_secs_f32().round());
            let mut error = fault(format!("wait until {condition}"), cause);
            error.id = ErrorId::WaitTimedOut;
            if let Some(concerned) = condition.unit() {
                error.log = unit::log(system, concerned, unit::LOG_LINES).unwrap_or_default();
                error.unit = Some(concerned.to_owned());
            }
            return Err(error);
        }
        system.pause(PAUSE.min(left));
    }
}

/// Ends a wait for a unit that no further start helps.
fn refuse_hopeless(system: &dyn System, condition: &NodeCondition, unit: &str) -> Result<(), NodeError> {
    let statuses = unit::statuses(system, &[unit]).unwrap_or_default();
    let Some(status) = statuses.get(unit).filter(|status| status.is_hopeless()) else {
        return Ok(());
    };
    let own = unit::own_log(system, unit, unit::LOG_LINES).unwrap_or_default();
    let last = last_word(own.iter().map(String::as_str));
    let last = last.map_or_else(String::new, |line| format!(": {line}"));
    let cause = format!(
        "{unit} ends again and again, {} times so far{last}",
        status.restarts
    );
    let mut error = fault(format!("wait until {condition}"), cause);
    error.id = ErrorId::CrashLoop;
    error.unit = Some(unit.to_owned());
    error.log = unit::log(system, unit, unit::LOG_LINES).unwrap_or_default();
    Err(error)
}

/// Looks once why a condition does not hold yet, and how the unit is that it depends on.
///
/// # Errors
/// When systemd cannot be asked.
pub fn explain(system: &dyn System, condition: &NodeCondition) -> Result<Explanation, NodeError> {
    let failing = condition.parts().iter().find_map(|part| {
        let seen = look(system, part, LONGEST_LOOK / 3).err()?;
        Some((seen, part))
    });
    let concerned = failing.as_ref().map_or(condition, |(_, part)| part);
    let report = |name: &str| {
        let status = unit::statuses(system, &[name])?.remove(name).unwrap_or_default();
        let said = unit::own_log(system, name, unit::LOG_LINES).unwrap_or_default();
        Ok(UnitReport {
            unit: name.to_owned(),
            active: status.active,
            sub: status.sub,
            restarts: status.restarts,
            last_line: last_word(said.iter().map(String::as_str)).map(str::to_owned),
        })
    };
    Ok(Explanation {
        unit: concerned.unit().map(report).transpose()?,
        seen: failing.map(|(seen, _)| seen),
    })
}

fn look(system: &dyn System, condition: &NodeCondition, timeout: Duration) -> Result<(), String> {
    match condition {
        NodeCondition::UnitActive { unit } => {
            let mut statuses = unit::statuses(system, &[unit]).map_err(|error| error.to_string())?;
            let status = statuses.remove(unit).unwrap_or_default();
            if status.active == "active" {
                return Ok(());
            }
            Err(format!("it is {} ({})", status.active, status.sub))
        }
        NodeCondition::HttpOk {
            url,
            ca_file,
            server_name,
            ..
        } => {
            let trust = ca_file.as_deref().map(|ca_file| Trust {
                ca_file,
                server_name: server_name.as_deref(),
            });
            let answer = ask(system, url, trust, timeout)?;
            match (answer.status, answer.reason()) {
                (200, _) => Ok(()),
                (status, Some(reason)) => Err(format!("it answers {status}: {reason}")),
                (status, None) => Err(format!("it answers {status}")),
            }
        }
        NodeCondition::All { of } => of.iter().try_for_each(|part| look(system, part, timeout)),
    }
}

/// Whom a server over TLS is verified against.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// PEM file of the authority.
    pub ca_file: &'a str,
    /// The name its certificate must have; without one, the address it is asked at.
    pub server_name: Option<&'a str>,
}

/// The status of one HTTP GET from this node, over verified TLS when the URL says https.
///
/// # Errors
/// Why there is no answer.
pub fn status(
    system: &dyn System,
    url: &str,
    trust: Option<Trust<'_>>,
    timeout: Duration,
) -> Result<u16, String> {
    ask(system, url, trust, timeout).map(|answer| answer.status)
}

fn ask(
    system: &dyn System,
    url: &str,
    trust: Option<Trust<'_>>,
    timeout: Duration,
) -> Result<Answer, String> {
    match system.http_status(url, trust.map(|trust| trust.ca_file)) {
        Some(status) => status.map(|status| Answer {
            status,
            body: String::new(),
        }),
        None => get(system, url, trust, timeout).map_err(|error| error.cause),
    }
}

/// What a server answered.
struct Answer {
    status: u16,
    /// The beginning of its body; of no interest when the status is 200.
    body: String,
}

impl Answer {
    /// Why it is not ready, in its own words: the reason of etcd's `/health`, the checks that fail of an API server's
    /// `/readyz` (marked `[-]`), or the first line.
    fn reason(&self) -> Option<String> {
        let body = self.body.trim();
        let health: Option<serde_json::Value> = serde_json::from_str(body).ok();
        if let Some(reason) = health.as_ref().and_then(|health| health["reason"].as_str()) {
            return Some(reason.to_owned());
        }
        let failing: Vec<&str> = body
            .lines()
            .filter_map(|line| line.strip_prefix("[-]"))
            .map(|line| line.split(':').next().unwrap_or(line).trim())
            .collect();
        if !failing.is_empty() {
            return Some(failing.join(", "));
        }
        body.lines().next().map(str::to_owned)
    }
}

struct Url<'u> {
    tls: bool,
    address: SocketAddr,
    authority: &'u str,
    path: &'u str,
}

fn parse(url: &str) -> Option<Url<'_>> {
    let (tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let default_port = if tls { 443 } else { 80 };
    let address = authority.parse::<SocketAddr>().ok().or_else(|| {
        authority
            .parse::<IpAddr>()
            .ok()
            .map(|address| (address, default_port).into())
    })?;
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then_some(Url {
        tls,
        address,
        authority,
        path: if path.is_empty() { "/" } else { path },
    })
}

/// The status of one HTTP GET.
fn get(
    system: &dyn System,
    url: &str,
    trust: Option<Trust<'_>>,
    timeout: Duration,
) -> Result<Answer, NodeError> {
    let doing = || format!("ask {url}");
    let target = parse(url).ok_or_else(|| fault(doing(), "not a URL with an address"))?;
    let socket = TcpStream::connect_timeout(&target.address, timeout).doing(doing)?;
    socket.set_read_timeout(Some(timeout)).doing(doing)?;
    socket.set_write_timeout(Some(timeout)).doing(doing)?;
    if !target.tls {
        return exchange(socket, &target).doing(doing);
    }
    let trust = trust.ok_or_else(|| fault(doing(), "no CA to verify it against"))?;
    let connection =
        connect_tls(system, trust, target.address.ip()).map_err(|cause| fault(doing(), cause))?;
    exchange(StreamOwned::new(connection, socket), &target).doing(doing)
}

fn connect_tls(system: &dyn System, trust: Trust<'_>, address: IpAddr) -> Result<ClientConnection, String> {
    let ca_file = trust.ca_file;
    let server_name = match trust.server_name {
        Some(name) => ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?,
        None => ServerName::from(address),
    };
    let pem = system
        .text(ca_file)
        .ok_or_else(|| format!("{ca_file} cannot be read"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
        roots
            .add(certificate)
            .map_err(|error| format!("{ca_file}: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), server_name).map_err(|error| error.to_string())
}

/// One request and its answer. Of one that is not 200, as much of the body as comes soon and is short.
fn exchange(mut stream: impl Read + Write, target: &Url<'_>) -> std::io::Result<Answer> {
    let request = get_request(
        target.path,
        target.authority,
        "kubewright-agent",
        Afterwards::Close,
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let begun = std::time::Instant::now();
    let mut answer = ResponseReader::new(LONGEST_BODY);
    let mut piece = [0; 1024];
    loop {
        let read = stream.read(&mut piece);
        // A body that is too long, or breaks off, tells by its beginning why a server is not ready.
        let ends = match &read {
            Ok(0) | Err(_) => true,
            Ok(count) => answer.feed(&piece[..*count]).unwrap_or(true),
        };
        match answer.status() {
            None if ends => {
                read?;
                return Err(std::io::Error::other("the answer is not HTTP"));
            }
            Some(status) if ends || status == 200 || begun.elapsed() >= LOOK => {
                return Ok(Answer {
                    status,
                    body: String::from_utf8_lossy(answer.body()).into_owned(),
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SimulatedUnit, TestSystem};
    use std::net::TcpListener;

    fn server(answers: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut socket, _) = listener.accept().unwrap();
                let mut buffer = [0; 1024];
                let count = socket.read(&mut buffer).unwrap();
                assert!(buffer[..count].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                socket.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn waits_until_the_answer_is_200() {
        let url = server(vec!["HTTP/1.1 500 not yet\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok"]);
        let condition = NodeCondition::HttpOk {
            url,
            ca_file: None,
            server_name: None,
            unit: None,
        };
        let system = TestSystem::new();
        wait(&*system, &condition, Duration::from_secs(20), &|| false).unwrap();
    }

    #[test]
    fn a_server_that_needs_longer_than_a_look_is_given_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                // Each connection is answered after a while, whoever has given up meanwhile.
                std::thread::spawn(move || {
                    std::thread::sleep(LOOK * 3 / 2);
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\nok");
                });
            }
        });
        let condition = NodeCondition::HttpOk {
            url,
            ca_file: None,
            server_name: None,
            unit: None,
        };
        wait(&*TestSystem::new(), &condition, Duration::from_secs(60), &|| {
            false
        })
        .unwrap();
    }

    #[test]
    fn says_what_was_last_seen_when_time_is_over() {
        let url = server(vec!["HTTP/1.1 503 no\r\n\r\n"]);
        let condition = NodeCondition::HttpOk {
            url: url.clone(),
            ca_file: None,
            server_name: None,
            unit: None,
        };
        let system = TestSystem::new();
        let error = wait(&*system, &condition, Duration::ZERO, &|| false).unwrap_err();
        assert_eq!(error.doing, format!("wait until {url} answers 200"));
        assert_eq!(error.cause, "not so after 0 s: it answers 503");
    }

    /// What is said of a server on a unit that was restarted so often, and whose last process lived so long.
    fn said_of(restarts: u32, lived: Duration) -> NodeError {
        let system = TestSystem::new();
        let unit = crate::testing::SimulatedUnit {
            active: "activating".to_owned(),
            sub: "auto-restart".to_owned(),
            restarts,
            lived,
            ..Default::default()
        };
        system.simulated().units.insert("etcd.service".to_owned(), unit);
        let condition = NodeCondition::HttpOk {
            url: server(vec!["HTTP/1.1 503 no\r\n\r\n"]),
            ca_file: None,
            server_name: None,
            unit: Some("etcd.service".to_owned()),
        };
        wait(&*system, &condition, Duration::ZERO, &|| false).unwrap_err()
    }

    #[test]
    fn does_not_wait_for_a_unit_that_ends_again_and_again() {
        let error = said_of(4, Duration::from_secs(1));
        assert_eq!(error.id, ErrorId::CrashLoop);
        assert_eq!(
            error.cause,
            "etcd.service ends again and again, 4 times so far: because of this"
        );
        assert_eq!(error.unit.as_deref(), Some("etcd.service"));
        assert_eq!(error.log, ["it broke", "because of this"]);
        // One that has ended for the first time may come up, and one that lives for long waits for something.
        assert_eq!(said_of(3, Duration::from_secs(1)).id, ErrorId::WaitTimedOut);
        assert_eq!(said_of(9, Duration::from_secs(20)).id, ErrorId::WaitTimedOut);
    }

    #[test]
    fn waits_for_all_parts_of_a_condition() {
        let part = |answers| NodeCondition::HttpOk {
            url: server(answers),
            ca_file: None,
            server_name: None,
            unit: None,
        };
        let ready = "HTTP/1.1 200 OK\r\n\r\nok";
        let of = vec![part(vec![ready]), part(vec!["HTTP/1.1 503 no\r\n\r\n", ready])];
        wait(
            &*TestSystem::new(),
            &NodeCondition::All { of },
            Duration::from_secs(20),
            &|| false,
        )
        .unwrap();
        let of = vec![part(vec![ready]), part(vec!["HTTP/1.1 503 no\r\n\r\n"])];
        let waited = wait(
            &*TestSystem::new(),
            &NodeCondition::All { of },
            Duration::ZERO,
            &|| false,
        );
        assert_eq!(waited.unwrap_err().cause, "not so after 0 s: it answers 503");
    }

    #[test]
    fn says_why_a_server_is_not_ready_in_its_own_words() {
        let said = |answer| {
            let condition = NodeCondition::HttpOk {
                url: server(vec![answer]),
                ca_file: None,
                server_name: None,
                unit: None,
            };
            let error = wait(&*TestSystem::new(), &condition, Duration::ZERO, &|| false).unwrap_err();
            error.cause.replace("not so after 0 s: ", "")
        };
        assert_eq!(
            said(
                "HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\n{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}"
            ),
            "it answers 503: ALARM NOSPACE"
        );
        assert_eq!(
            said(
                "HTTP/1.1 500 no\r\n\r\n[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/a failed: x\nreadyz check failed\n"
            ),
            "it answers 500: etcd failed, poststarthook/a failed"
        );
        assert_eq!(
            said("HTTP/1.1 401 no\r\n\r\nUnauthorized\n"),
            "it answers 401: Unauthorized"
        );
    }

    #[test]
    fn explains_a_unit_that_ends_again_and_again_by_its_own_last_line() {
        let system = TestSystem::new();
        {
            let mut simulated = system.simulated();
            let kubelet = SimulatedUnit {
                active: "activating".to_owned(),
                sub: "auto-restart".to_owned(),
                restarts: 46,
                ..SimulatedUnit::default()
            };
            simulated.units.insert("kubelet.service".to_owned(), kubelet);
            let said = "E1129 06:03:35.1 run.go:72] no clock speed\nexiting\n";
            simulated.says.insert("journalctl".to_owned(), said.to_owned());
        }
        let condition = NodeCondition::UnitActive {
            unit: "kubelet.service".to_owned(),
        };
        let explanation = explain(&*system, &condition).unwrap();
        assert_eq!(
            explanation.seen.as_deref(),
            Some("it is activating (auto-restart)")
        );
        let unit = explanation.unit.unwrap();
        assert_eq!((unit.restarts, unit.sub.as_str()), (46, "auto-restart"));
        assert_eq!(
            unit.last_line.as_deref(),
            Some("E1129 06:03:35.1 run.go:72] no clock speed")
        );
        // What systemd says of the unit is in its journal as well, and is not asked for.
        let asked = system.simulated().commands.join("\n");
        assert!(asked.contains("_SYSTEMD_UNIT=kubelet.service"), "{asked}");
    }

    #[test]
    fn refuses_a_url_that_needs_a_name_service() {
        assert!(parse("https://example.org/x").is_none());
        assert!(parse("https://127.0.0.1:6443/readyz").is_some_and(|url| url.tls && url.path == "/readyz"));
        assert!(parse("http://[::1]:80/a b").is_none());
    }
}
