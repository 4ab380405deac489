//! Answers with a row: over a connection of each request, or of a pool in a Durable Object.

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use worker::{DurableObject, Env, Error, Request, Response, Result, Socket, State, durable_object, event};

fn settings(env: &Env) -> Result<(Config, String, u16)> {
    let config: Config = env.var("DATABASE_URL")?.to_string().parse().map_err(failed)?;
    let Some(Host::Tcp(host)) = config.get_hosts().first().cloned() else { return Err(failed("no host")) };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok((config, host, port))
}

fn failed(error: impl ToString) -> Error {
    Error::RustError(error.to_string())
}

async fn ask(client: &tokio_postgres::Client) -> std::result::Result<i32, tokio_postgres::Error> {
    Ok(client.query_one("SELECT 42", &[]).await?.get(0))
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _: worker::Context) -> Result<Response> {
    env.durable_object("HOLDER")?.get_by_name("holder")?.fetch_with_request(request).await
}

#[cfg(not(feature = "pooled"))]
#[durable_object]
pub struct Holder {
    env: Env,
}

#[cfg(not(feature = "pooled"))]
impl DurableObject for Holder {
    fn new(_: State, env: Env) -> Self {
        Self { env }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        let (config, host, port) = settings(&self.env)?;
        let socket = Socket::builder().connect(host, port)?;
        let (client, connection) = config.connect_raw(socket, tokio_postgres::NoTls).await.map_err(failed)?;
        worker::wasm_bindgen_futures::spawn_local(async move { drop(connection.await) });
        Response::ok(ask(&client).await.map_err(failed)?.to_string())
    }
}

#[cfg(feature = "pooled")]
#[durable_object]
pub struct Holder {
    pool: Result<edgepool::QueuePool<edgepool::managers::Postgres>>,
}

#[cfg(feature = "pooled")]
impl DurableObject for Holder {
    fn new(_: State, env: Env) -> Self {
        let pool = settings(&env).and_then(|(config, host, port)| {
            let connect = async move || Socket::builder().connect(host.as_str(), port);
            edgepool::QueuePool::builder(edgepool::managers::Postgres::new(config, connect)).build().map_err(failed)
        });
        Self { pool }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        let pool = self.pool.as_ref().map_err(failed)?;
        let lease = pool.connect().await.map_err(failed)?;
        let answer = ask(&lease).await.map_err(failed)?;
        lease.close().await;
        Response::ok(answer.to_string())
    }
}
