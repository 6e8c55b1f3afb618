//! The submitter: a graph of delayed calls, each a job when its inputs are there, and the results as they come.
//!
//! **Alternative:** to give Redis the whole graph, and have workers submit what becomes ready. Then the submitter could
//! leave; but outputs would go to Redis and to nobody, and an error would have to find its way through the graph.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};
use whirligig::{
    executor::{CallError, Delayed, compute_with},
    sync::oneshot,
};

use crate::broker::Broker;

type Output = Result<Vec<u8>, CallError>;

/// The jobs that were submitted and whose results have not come.
struct Waiting {
    jobs: Mutex<Jobs>,
    bar: ProgressBar,
}

#[derive(Default)]
struct Jobs {
    submitted: usize,
    waiting: HashMap<String, oneshot::Sender<Output>>,
}

/// What came of a graph.
pub(crate) struct Computed {
    pub(crate) output: u64,
    pub(crate) results: usize,
    /// Results that had come already.
    pub(crate) doubled: usize,
}

/// Has workers compute a graph. `reading` has a connection of its own, to wait for results.
pub(crate) async fn compute(
    graph: &Delayed<u64>,
    broker: Arc<Broker>,
    reading: Broker,
) -> anyhow::Result<Computed> {
    let submitter = format!("{:016x}", fastrand::u64(..));
    let results = Arc::<str>::from(broker.results_of(&submitter));
    let style = "{bar:40} {pos} of {len} jobs, {elapsed}";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?);
    let waiting = Arc::new(Waiting { jobs: Mutex::default(), bar: bar.clone() });

    let computing = compute_with(graph, {
        let (waiting, broker, results) = (waiting.clone(), broker.clone(), results.clone());
        move |function, arguments| {
            let (id, output) = waiting.add(&submitter);
            let (broker, results) = (broker.clone(), results.clone());
            async move {
                let submitted = broker.submit(&id, function, &arguments, &results).await;
                submitted.map_err(|error| CallError::Broken(format!("{error:#}")))?;
                output.await.unwrap_or(Err(CallError::Cancelled))
            }
        }
    });
    let (mut taken, mut doubled) = (0, 0);
    let taking = async {
        let mut last = "0".to_owned();
        loop {
            for (number, outcome) in
                reading.results(&results, &last, Duration::from_secs(1)).await?
            {
                last = number;
                match waiting.take(&outcome.id) {
                    Some(job) => {
                        taken += 1;
                        drop(job.send(outcome.output));
                    }
                    None => doubled += 1,
                }
            }
        }
    };
    let output = futures_lite::future::or(async { Ok(computing.await) }, async {
        let failed: anyhow::Result<Infallible> = taking.await;
        let Err(error) = failed;
        Err(error)
    });
    let output = output.await;
    bar.finish();
    broker.forget(&results).await?;
    let output = output?.map_err(|error| anyhow!(error))?;
    Ok(Computed { output, results: taken, doubled })
}

impl Waiting {
    /// A job's name, and its output when it comes.
    fn add(&self, submitter: &str) -> (String, oneshot::Receiver<Output>) {
        let (sender, receiver) = oneshot::channel();
        let mut jobs = self.jobs.lock().expect("nothing panics with it");
        jobs.submitted += 1;
        let id = format!("{submitter}-{}", jobs.submitted);
        jobs.waiting.insert(id.clone(), sender);
        drop(jobs);
        self.bar.inc_length(1);
        (id, receiver)
    }

    fn take(&self, id: &str) -> Option<oneshot::Sender<Output>> {
        let job = self.jobs.lock().expect("nothing panics with it").waiting.remove(id)?;
        self.bar.inc(1);
        Some(job)
    }
}
