//! Ten pages, and their titles: one after the other, and all at once.
//!
//! ```text
//! cargo run --release -p ecosystem --bin scrape
//! cargo run --release -p ecosystem --bin scrape -- --limit 3 --per-second 5
//! cargo run --release -p ecosystem --bin scrape -- --url http://127.0.0.1:8080/{}
//! ```
//!
//! The same client (hyper's, with its pool) gets the same pages in different ways:
//!
//! - *sequential*: one request after the other, in one future;
//! - *async but sequential*: each request a task of its own, which is awaited before the next is spawned. To write
//!   `async` makes nothing concurrent;
//! - *concurrent*: all tasks are spawned, and then awaited;
//! - *at most N at a time*: a semaphore bounds how much is under way;
//! - *at most N begun a second*: a rate limiter bounds how often the server is asked.
//!
//! The pages come from a server that the program starts itself, which takes about a second for each; or from `--url`,
//! where `{}` is the number of the page. Each way has a progress bar, if there is a terminal to show it. Ctrl-C ends the
//! program, and what was asked is given up.
//!
//! ```text
//! main.rs       options, the ways, the table
//! pages.rs      getting a page, and its title
//! site.rs       the server of ten slow pages
//! ```

mod pages;
mod site;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use whirligig::{
    signal::cancel_on_ctrl_c,
    spawn,
    sync::{RateLimiter, Semaphore},
    task::try_gather,
    time::Instant,
};

use crate::{pages::Pages, site::Site};

/// Titles of pages, in five ways.
#[derive(Parser)]
struct Options {
    /// Where the pages are, with {} for the number: http://host/page/{}. Without it: a server of the program's own
    #[arg(long, value_parser = pages::template)]
    url: Option<String>,
    /// Number of pages
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pages: u32,
    /// At most so many at a time, in the fourth way
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// At most so many begun a second, in the fifth way
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    per_second: u32,
    /// The program's own server takes a tenth of the time, and a second counts for ten
    #[arg(long, conflicts_with = "url")]
    fast: bool,
}

/// How the pages are asked for.
#[derive(Debug, Clone, Copy)]
enum Way {
    Sequential,
    AsyncButSequential,
    Concurrent,
    AtMost(u32),
    PerSecond(u32),
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    // A second Ctrl-C, while this cleans up, ends the process at once.
    match whirligig::run(async {
        Ok::<_, std::io::Error>(cancel_on_ctrl_c(scrape(&options))?.await)
    })? {
        Ok(scraped) => scraped.map(|()| ExitCode::SUCCESS),
        Err(interrupted) => {
            eprintln!("{interrupted}");
            interrupted.exit()
        }
    }
}

async fn scrape(options: &Options) -> anyhow::Result<()> {
    let divisor = if options.fast { 10 } else { 1 };
    let (template, site) = match &options.url {
        Some(url) => (url.clone(), None),
        None => {
            let site = Site::start(divisor).await.context("the server of pages does not start")?;
            (site.template(), Some(site))
        }
    };
    let pages = Arc::new(Pages::new(template));
    let ways = [
        Way::Sequential,
        Way::AsyncButSequential,
        Way::Concurrent,
        Way::AtMost(options.limit),
        Way::PerSecond(options.per_second),
    ];
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["way", "seconds", "times the first", "most at once"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut first: Option<(Vec<String>, Duration)> = None;
    for way in ways {
        let begin = Instant::now();
        let titles = titles(&pages, way, options.pages, divisor).await?;
        let took = begin.elapsed();
        let (first_titles, first_took) = first.get_or_insert_with(|| {
            titles.iter().for_each(|title| println!("{title}"));
            (titles.clone(), took)
        });
        ensure!(*first_titles == titles, "{} has found other titles than the first", name(way));
        let most = site.as_ref().map_or("-".to_owned(), |site| site.take_most().to_string());
        table.add_row([
            name(way),
            format!("{:.2}", took.as_secs_f64()),
            format!("{:.1}", first_took.as_secs_f64() / took.as_secs_f64()),
            most,
        ]);
    }
    println!("{table}");
    Ok(())
}

fn name(way: Way) -> String {
    match way {
        Way::Sequential => "sequential".to_owned(),
        Way::AsyncButSequential => "async but sequential".to_owned(),
        Way::Concurrent => "concurrent".to_owned(),
        Way::AtMost(limit) => format!("at most {limit} at a time"),
        Way::PerSecond(limit) => format!("at most {limit} begun a second"),
    }
}

/// The titles in the order of the pages, however they came.
async fn titles(
    pages: &Arc<Pages>,
    way: Way,
    count: u32,
    divisor: u32,
) -> anyhow::Result<Vec<String>> {
    let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len} {elapsed}")?;
    let bar = ProgressBar::new(count.into()).with_style(style).with_message(name(way));
    let one = |page: u32| {
        let (pages, bar) = (Arc::clone(pages), bar.clone());
        async move {
            let title = pages.title(page).await;
            bar.inc(1);
            title
        }
    };
    let titles = match way {
        Way::Sequential => {
            let mut titles = Vec::new();
            for page in 1..=count {
                titles.push(one(page).await?);
            }
            titles
        }
        Way::AsyncButSequential => {
            let mut titles = Vec::new();
            for page in 1..=count {
                titles.push(spawn(one(page)).await??);
            }
            titles
        }
        Way::Concurrent => {
            let tasks: Vec<_> = (1..=count).map(|page| spawn(one(page))).collect();
            let mut titles = Vec::new();
            for task in tasks {
                titles.push(task.await??);
            }
            titles
        }
        // The futures borrow the limit. `try_gather` polls them itself, and gives the rest up after the first error.
        Way::AtMost(limit) => {
            let limit = &Semaphore::new(limit as usize);
            let one = &one;
            try_gather((1..=count).map(async move |page| {
                let _permit = limit.acquire().await.context("nobody closes it")?;
                one(page).await
            }))
            .await?
        }
        Way::PerSecond(tokens) => {
            let limit = &RateLimiter::new(tokens as usize, Duration::from_secs(1) / divisor);
            let one = &one;
            try_gather((1..=count).map(async move |page| {
                limit.acquire().await;
                one(page).await
            }))
            .await?
        }
    };
    bar.finish_and_clear();
    if titles.len() != count as usize {
        bail!("{} titles of {count} pages", titles.len());
    }
    Ok(titles)
}
