//! The service by tasks of one event loop: axum's routes, each request a task that sleeps while others are served.
//!
//! axum is taken without its `tokio` feature. What that leaves out, a server for the router, is
//! `whirligig::adapters::hyper::serve`.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use ecosystem::stop::Stop;
use serde_json::Value;
use whirligig::{
    adapters::hyper::serve as serve_router,
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::{
    Options,
    towns::{About, Failure, Question, Services, index},
};

/// Serves until Ctrl-C.
pub(crate) async fn serve(options: &Options, services: Arc<Services>) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(&options.listen)
        .await
        .with_context(|| format!("cannot listen at {}", options.listen))?;
    let mut stop = Stop::new().context("cannot watch for signals")?;
    println!("Listening at http://{}", listener.local_addr()?);
    let stopped = async move {
        _ = stop.requested().await;
        // The next one ends the process.
        drop(stop);
        eprintln!("Stopping.");
    };
    let server = serve_router(listener, router(services)).stop_when(stopped).grace(options.grace);
    let served = server.run().await?;
    println!("Connections: {}, cut off: {}", served.connections, served.cut_off);
    Ok(if served.cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn router(services: Arc<Services>) -> Router {
    let sun = async |State(services), path| ask(services, About::Sun, path).await;
    let weather = async |State(services), path| ask(services, About::Weather, path).await;
    Router::new()
        .route("/", get(async || Json(index())))
        .route("/api/sun/{zip}/{country}", get(sun))
        .route("/api/weather/{zip}/{country}", get(weather))
        .fallback(async |uri: Uri| Failure::NoPage(uri.path().to_owned()))
        .method_not_allowed_fallback(async |method: Method| Failure::Method(method.to_string()))
        .with_state(services)
}

async fn ask(
    services: Arc<Services>,
    about: About,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Failure> {
    let Path((zip, country)) = path.map_err(|error| Failure::NoQuestion(error.body_text()))?;
    let question = Question::new(about, &zip, &country)?;
    let (find, rest) = services.latencies(question.about());
    let answer = async {
        sleep(find).await;
        let town = question.find()?;
        sleep(rest).await;
        Ok(Json(town.answer(about)))
    };
    timeout(services.limit, answer).await.unwrap_or(Err(Failure::Late(services.limit)))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).expect("each is a status of HTTP");
        (status, Json(self.body())).into_response()
    }
}
