//! Getting a page, and finding its title.
//!
//! The client is hyper-util's pooled one on our [`Connector`]. The title is found by scraper, which reads HTML as
//! browsers do. A page has ten seconds and a mebibyte.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Uri, body::Bytes};
use hyper_util::client::legacy::Client;
use scraper::{Html, Selector};
use whirligig::{
    adapters::hyper::{Connector, Executor, Timer},
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(10);
const BYTES: usize = 1024 * 1024;

pub(crate) struct Pages {
    client: Client<Connector, Empty<Bytes>>,
    /// With `{}` where the number goes.
    template: String,
}

/// Reads a `--url`.
pub(crate) fn template(text: &str) -> anyhow::Result<String> {
    ensure!(text.contains("{}"), "write {{}} where the number of the page goes");
    let uri: Uri = text.replace("{}", "1").parse()?;
    ensure!(uri.scheme_str() == Some("http"), "only http:// is spoken here");
    ensure!(uri.host().is_some(), "no host");
    Ok(text.to_owned())
}

impl Pages {
    pub(crate) fn new(template: String) -> Self {
        let client = Client::builder(Executor).pool_timer(Timer).build(Connector::new());
        Self { client, template }
    }

    pub(crate) async fn title(&self, page: u32) -> anyhow::Result<String> {
        let url = self.template.replace("{}", &page.to_string());
        let got = timeout(LIMIT, self.get(&url)).await;
        let html = got.with_context(|| format!("{url} took too long"))??;
        title(&html).with_context(|| format!("{url} has no title"))
    }

    async fn get(&self, url: &str) -> anyhow::Result<String> {
        let response = self.client.get(url.parse()?).await;
        let response = response.with_context(|| format!("cannot get {url}"))?;
        if !response.status().is_success() {
            bail!("{url}: the server answers {}", response.status());
        }
        let body = Limited::new(response.into_body(), BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{url} breaks off: {error}"))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }
}

fn title(html: &str) -> Option<String> {
    let selector = Selector::parse("title").expect("it is a selector");
    let html = Html::parse_document(html);
    let title = html.select(&selector).next()?.text().collect::<String>();
    Some(title.split_whitespace().collect::<Vec<_>>().join(" "))
}
