//! The limit for HTTP: hyper and nothing else, answering a constant 40-byte JSON body.
//!
//! It runs as a process of its own, as the daemon does, with as many workers.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Outcome;

/// 40 bytes, holding what the clients of validation, introspection and issuing look for.
const BODY: &[u8; 40] = br#"{"active":true,"status":true,"token":""}"#;

/// Serves until killed. Prints its address first.
pub(crate) fn serve(workers: usize) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        // On a worker, like the daemon's accept loop, not on the main thread beside them.
        tokio::spawn(accept(listener)).await?
    })
}

async fn accept(listener: TcpListener) -> Outcome<()> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let _client_gone = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
