//! What it costs to send a span, from its record to the socket, beside the peers.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --target-dir target --bench export --
//! [ROUNDS] [CONTENDER...] [load] [scale]`
//!
//! All contenders send the same spans of four attributes to one receiver on the loopback, which speaks
//! HTTP/1.1 and gRPC, says that it took them, and counts what came. Each round runs all of them in
//! turn, each in a process of its own, whose CPU time is what counts: that of the receiver, another
//! process, does not. Who loses a span is said to.
//!
//! `load` is a million spans a second for a minute, to a receiver that keeps up and to one that does
//! not; `scale` is what a span costs among 1 thousand to 100 million.

mod load;
mod ours;
mod peers;
mod receiver;
mod spans;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use observe_benches::{Args, Result, Spread, process_time};
use serde::{Deserialize, Serialize};

use crate::load::Load;
use crate::receiver::Totals;

/// Tells a process of its own what it is.
const ROLE: &str = "OBSERVE_BENCHES_EXPORT";

/// What a process of its own does.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Role {
    Receiver,
    Sender { contender: Contender, url: String, spans: u64 },
    Load { load: Load, url: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Contender {
    OursHttp,
    OursThroughSdk,
    OtlpHttp,
    OtlpGrpc,
    SdkHttp,
    SdkGrpc,
    FastraceGrpc,
}

/// What sends so many spans and returns when they were answered.
type Sender = Box<dyn FnMut(u64) -> Result<()>>;

/// What a contender took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cost {
    cpu_nanos: f64,
    wall_nanos: f64,
}

impl Contender {
    const ALL: [Contender; 7] = [
        Contender::OursHttp,
        Contender::OtlpHttp,
        Contender::OtlpGrpc,
        Contender::SdkHttp,
        Contender::SdkGrpc,
        Contender::FastraceGrpc,
        Contender::OursThroughSdk,
    ];

    fn name(self) -> &'static str {
        match self {
            Contender::OursHttp => "**ours**, HTTP",
            Contender::OursThroughSdk => {
                "ours, by `SdkExporter` to that of `opentelemetry-otlp`, HTTP"
            }
            Contender::OtlpHttp => "`opentelemetry-otlp`, HTTP",
            Contender::OtlpGrpc => "`opentelemetry-otlp`, gRPC",
            Contender::SdkHttp => "SDK: tracer and batch processor, HTTP",
            Contender::SdkGrpc => "SDK: tracer and batch processor, gRPC",
            Contender::FastraceGrpc => "fastrace, OTLP reporter, gRPC",
        }
    }

    /// Enough for a time of about the same length.
    fn spans(self) -> u64 {
        match self {
            Contender::OursHttp => 4_000_000,
            _ => 400_000,
        }
    }

    fn sender(self, url: &str) -> Result<Sender> {
        match self {
            Contender::OursHttp => ours::http(url),
            Contender::OursThroughSdk => ours::through_sdk(url),
            Contender::OtlpHttp => peers::otlp_http(url),
            Contender::OtlpGrpc => peers::otlp_grpc(url),
            Contender::SdkHttp => peers::sdk_http(url),
            Contender::SdkGrpc => peers::sdk_grpc(url),
            Contender::FastraceGrpc => peers::fastrace_grpc(url),
        }
    }
}

fn main() -> Result<()> {
    if let Some(role) = std::env::var_os(ROLE) {
        return match serde_json::from_str(&role.to_string_lossy())? {
            Role::Receiver => receiver::serve(),
            Role::Sender { contender, url, spans } => {
                println!("{}", serde_json::to_string(&measure(contender, &url, spans)?)?);
                Ok(())
            }
            Role::Load { load, url } => {
                println!("{}", serde_json::to_string(&load::run(load, &url)?)?);
                Ok(())
            }
        };
    }
    let args = Args::read(9);
    let receiver = Receiver::start()?;
    let is_asked_for = |name| std::env::args().any(|word| word == name);
    if is_asked_for("load") || is_asked_for("scale") {
        if is_asked_for("load") {
            load::table(&receiver)?;
        }
        if is_asked_for("scale") {
            load::scale(&receiver)?;
        }
        return Ok(());
    }
    let contenders: Vec<_> =
        Contender::ALL.into_iter().filter(|contender| args.wants(contender.name())).collect();
    let mut rounds = vec![Vec::new(); contenders.len()];
    let mut lost = vec![0; contenders.len()];
    for round in 1..=args.rounds {
        for (number, contender) in contenders.iter().enumerate() {
            eprintln!("round {round} of {}: {}", args.rounds, contender.name());
            let spans = contender.spans();
            let before = receiver.totals()?.spans;
            let role = Role::Sender { contender: *contender, url: receiver.url.clone(), spans };
            rounds[number].push(in_a_process::<Cost>(&role)?.cpu_nanos);
            lost[number] += spans + spans / WARM_UP - (receiver.totals()?.spans - before);
        }
    }
    println!("CPU time a span, {} rounds\n", args.rounds);
    println!("| contender | ns a span | times the first | lost |");
    println!("|---|---|---|---|");
    for (number, contender) in contenders.iter().enumerate() {
        let ratios = rounds[number].iter().zip(&rounds[0]).map(|(own, first)| own / first);
        let (cost, ratio) = (Spread::of(rounds[number].iter().copied()), Spread::of(ratios));
        println!("| {} | {cost:.0} | {ratio:.1} | {} |", contender.name(), lost[number]);
    }
    Ok(())
}

/// One part in so many is sent before what is measured, and not a part of it: by then there is a
/// connection, and memory.
const WARM_UP: u64 = 20;

fn measure(contender: Contender, url: &str, spans: u64) -> Result<Cost> {
    let mut send = contender.sender(url)?;
    send(spans / WARM_UP)?;
    let (start, cpu) = (Instant::now(), process_time());
    send(spans)?;
    let (wall, cpu) = (start.elapsed(), process_time() - cpu);
    let a_span = |time: Duration| time.as_nanos() as f64 / spans as f64;
    Ok(Cost { cpu_nanos: a_span(cpu), wall_nanos: a_span(wall) })
}

fn in_a_process<T: serde::de::DeserializeOwned>(role: &Role) -> Result<T> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(ROLE, serde_json::to_string(role)?).stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{role:?} fails: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The receiver's process, which ends with this.
struct Receiver {
    process: Child,
    address: String,
    url: String,
}

impl Receiver {
    fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(ROLE, serde_json::to_string(&Role::Receiver)?)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let stdout = process.stdout.take().ok_or("the receiver has no output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let address = address.trim().to_owned();
        let url = format!("http://{address}");
        Ok(Receiver { process, address, url })
    }

    /// What came so far.
    fn totals(&self) -> Result<Totals> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            receiver::TOTALS
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("the receiver does not answer")?;
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
