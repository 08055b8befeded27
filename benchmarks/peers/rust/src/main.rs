//! The crate `scaleset`: one client, as many tasks as our concurrency.
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use scaleset::{Client, Credentials, ExposeSecret, JitRunnerSetting, RunnerGroupId, ScaleSetId};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn usage() -> (f64, i64) {
    // SAFETY: getrusage fills the struct it is given, and all zeros are a valid one.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut used);
        used
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (
        seconds(used.ru_utime) + seconds(used.ru_stime),
        used.ru_maxrss,
    )
}

#[derive(Default)]
struct Tally {
    delivered: AtomicI64,
    bytes: AtomicI64,
    first_micros: AtomicI64,
}

async fn flood(
    client: &Client,
    id: ScaleSetId,
    count: i64,
    workers: i64,
    serial: &Arc<AtomicU64>,
    tally: &Arc<Tally>,
    start: Instant,
) -> Result<(), Failure> {
    let left = Arc::new(AtomicI64::new(count));
    let mut tasks = Vec::new();
    for _ in 0..workers.min(count) {
        let (client, left, serial, tally) =
            (client.clone(), left.clone(), serial.clone(), tally.clone());
        tasks.push(tokio::spawn(async move {
            while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                let name = format!("bench-{}", serial.fetch_add(1, Ordering::Relaxed));
                let setting = JitRunnerSetting::new(name).work_folder("_work");
                let made = client.generate_jit_config(id, &setting).await?;
                if tally.delivered.fetch_add(1, Ordering::Relaxed) == 0 {
                    tally
                        .first_micros
                        .store(start.elapsed().as_micros() as i64, Ordering::Relaxed);
                }
                tally.bytes.fetch_add(
                    made.encoded_jit_config.expose_secret().len() as i64,
                    Ordering::Relaxed,
                );
            }
            Ok::<(), Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn connect(order: &Value) -> Result<(Client, ScaleSetId), Failure> {
    let mut http = scaleset::http_client_builder();
    if let Some(path) = order["ca_file"].as_str() {
        http = http.add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(path)?)?);
    }
    let client = Client::builder(
        order["config_url"].as_str().unwrap_or_default(),
        Credentials::personal_access_token(order["token"].as_str().unwrap_or_default())?,
    )
    .http_client(http.no_proxy().pool_max_idle_per_host(1024).build()?)
    .allow_http(true)
    .build()?;
    let found = client
        .get_runner_scale_set_by_name(
            RunnerGroupId::from(1),
            order["scale_set"].as_str().unwrap_or_default(),
        )
        .await?
        .ok_or("no such scale set")?;
    Ok((client, found.id))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let serial = Arc::new(AtomicU64::new(1));
    let mut held: Option<(Client, ScaleSetId, i64)> = None;
    for line in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line?)?;
        let tally = Arc::new(Tally::default());
        let (cpu, _) = usage();
        let start = Instant::now();
        let count = order["count"].as_i64().unwrap_or(0);
        match order["do"].as_str() {
            Some("connect") => {
                let (client, id) = connect(&order).await?;
                held = Some((client, id, order["concurrency"].as_i64().unwrap_or(1)));
            }
            Some("burst") => {
                let (client, id, workers) = held.as_ref().ok_or("not connected")?;
                flood(client, *id, count, *workers, &serial, &tally, start).await?;
            }
            Some("trickle") => {
                let (client, id, _) = held.as_ref().ok_or("not connected")?;
                let pause = Duration::from_secs_f64(order["interval"].as_f64().unwrap_or(0.05));
                for _ in 0..count {
                    let next = tokio::time::Instant::now() + pause;
                    flood(client, *id, 1, 1, &serial, &tally, start).await?;
                    tokio::time::sleep_until(next).await;
                }
            }
            _ => break,
        }
        let seconds = start.elapsed().as_secs_f64();
        let (after, peak) = usage();
        println!(
            "{}",
            json!({"seconds": seconds, "cpu": after - cpu, "first": tally.first_micros.load(Ordering::Relaxed) as f64 / 1e6,
                "delivered": tally.delivered.load(Ordering::Relaxed), "bytes": tally.bytes.load(Ordering::Relaxed), "peak_kib": peak})
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
