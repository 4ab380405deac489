//! A Worker and a Durable Object, each path of which is one case of the tests.

mod memory;
mod numbers;

use edgepool::managers::{JsCreator, Postgres};
use edgepool::{QueuePool, Within};
use futures_util::future::{Either, join_all, select};
use numbers::Numbers;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};
use wasm_bindgen::prelude::*;
use worker::{
    Context, Delay, DurableObject, Env, Error, Request, Response, Result, Socket, State, durable_object, event,
};

type Pool = QueuePool<Postgres>;
type Lease = edgepool::Lease<Postgres, edgepool::JavaScript>;

thread_local! {
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
    static LEASE: RefCell<Option<Lease>> = const { RefCell::new(None) };
    static SHARED: RefCell<Option<QueuePool<Numbers>>> = const { RefCell::new(None) };
    static CREATOR: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

/// The shim passes a creator of the npm package.
#[wasm_bindgen]
pub fn use_creator(creator: js_sys::Function) {
    CREATOR.set(Some(creator));
}

fn failed(error: impl ToString) -> Error {
    Error::RustError(error.to_string())
}

fn settings(env: &Env) -> Result<(Config, String, u16)> {
    let config: Config = env.var("DATABASE_URL")?.to_string().parse().map_err(failed)?;
    let Some(Host::Tcp(host)) = config.get_hosts().first().cloned() else { return Err(failed("no host")) };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok((config, host, port))
}

fn pool(env: &Env, size: u32) -> Result<Pool> {
    let (config, host, port) = settings(env)?;
    let postgres = Postgres::new(config, async move || Socket::builder().connect(host.as_str(), port));
    Pool::builder(postgres).pool_size(size).max_overflow(0).build().map_err(failed)
}

async fn pid(client: &tokio_postgres::Client) -> Result<i32> {
    Ok(client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(failed)?.get(0))
}

/// Runs work, and gives it up after this time.
async fn cut_off(ms: u64, work: impl Future<Output = ()>) {
    if let Either::Left(_) = select(pin!(work), pin!(Delay::from(Duration::from_millis(ms)))).await {}
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let path = request.path();
    let mut parts = path.split('/').skip(1);
    let (name, argument) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match name {
        "object" => env.durable_object("HOLDER")?.get_by_name(argument)?.fetch_with_request(request).await,
        "memory" => Response::ok(memory::memory()),
        // A pool of this request. One in ten is cut off within its statement.
        "request" => {
            let pool = pool(&env, 2)?;
            let work = async {
                let Ok(lease) = pool.connect().await else { return };
                let _ = lease.query("SELECT pg_sleep(0.002)", &[]).await;
            };
            if argument == "cut" {
                cut_off(1, work).await
            } else {
                work.await
            }
            let used = pool.stats().used;
            context.wait_until(async move { pool.close().await });
            Response::ok(format!("used {used}"))
        }
        // The usual way by hand.
        "spawned" => {
            let (config, host, port) = settings(&env)?;
            let socket = Socket::builder().connect(host, port)?;
            let (client, connection) = config.connect_raw(socket, NoTls).await.map_err(failed)?;
            wasm_bindgen_futures::spawn_local(async move { drop(connection.await) });
            Response::ok(pid(&client).await?.to_string())
        }
        "creator" => creator(&context).await,
        "static" => {
            let kept = POOL.with_borrow_mut(|place| match place {
                Some(pool) => Ok(pool.clone()),
                None => pool(&env, 2).inspect(|pool| *place = Some(pool.clone())),
            })?;
            answer(&kept).await
        }
        "keep-lease" => {
            let pool = pool(&env, 1)?;
            let lease = pool.connect().await.map_err(failed)?;
            LEASE.set(Some(lease));
            // The request ends with its lease out.
            Response::ok("kept")
        }
        "use-lease" => {
            let refused = LEASE.with_borrow(|lease| lease.as_ref().map(|lease| lease.check().is_err().to_string()));
            let words = LEASE.with_borrow(|lease| lease.as_ref().and_then(|lease| lease.check().err()));
            drop(LEASE.take());
            let words = words.map(|error| format!("{} {error}", error.code()));
            Response::ok(words.or(refused).unwrap_or_default())
        }
        "crossing" => crossing(argument).await,
        "panics" => {
            let pool = numbers::pool(false).map_err(failed)?;
            let _lease = pool.connect().await.map_err(failed)?;
            panic!("a request that panics")
        }
        "bad" => bad(argument).await,
        _ => Response::error("no such case", 404),
    }
}

async fn answer(pool: &Pool) -> Result<Response> {
    match pool.connect().await {
        Ok(lease) => Response::ok(format!("pid {}", pid(&lease).await?)),
        Err(error) => Response::ok(format!("{} {error}", error.code())),
    }
}

/// The connections of JavaScript's pg, by the creator and dialect of the npm package.
async fn creator(context: &Context) -> Result<Response> {
    let Some(create) = CREATOR.with_borrow(Clone::clone) else { return Response::error("no creator", 500) };
    let pool = QueuePool::builder(JsCreator::new(create)).pool_size(1).max_overflow(0).build().map_err(failed)?;
    let mut texts = Vec::new();
    for statement in
        ["BEGIN", "SELECT pg_current_xact_id_if_assigned() IS NULL AS apart", "SELECT pg_backend_pid() AS apart"]
    {
        let lease = pool.connect().await.map_err(failed)?;
        let query: js_sys::Function = js_sys::Reflect::get(&lease, &"query".into())
            .and_then(|query| query.dyn_into())
            .map_err(|_| failed("no query"))?;
        let promise: js_sys::Promise = query
            .call1(&lease, &statement.into())
            .and_then(|promise| promise.dyn_into())
            .map_err(|_| failed("no promise"))?;
        let result =
            wasm_bindgen_futures::JsFuture::from(promise).await.map_err(|error| failed(format!("{error:?}")))?;
        let rows = js_sys::Reflect::get(&result, &"rows".into()).map_err(|_| failed("no rows"))?;
        texts.push(js_sys::JSON::stringify(&rows).map(String::from).unwrap_or_default());
        lease.close().await;
    }
    let stats = pool.stats();
    texts.push(format!("opened {}, idle {}", stats.opened, stats.idle));
    context.wait_until(async move { pool.close().await });
    Response::ok(texts.join(" "))
}

/// One pool of connections without I/O for all requests.
async fn crossing(argument: &str) -> Result<Response> {
    let kept = SHARED.with_borrow_mut(|place| match place {
        Some(pool) => Ok(pool.clone()),
        None => numbers::pool(true).inspect(|pool| *place = Some(pool.clone())),
    });
    let pool = match kept {
        Ok(pool) => pool,
        Err(error) => return Response::ok(error.to_string()),
    };
    match argument {
        // Holds every connection until all have their waiters, then returns them in this request.
        "hold" => {
            let leases = join_all((0..3).map(|_| pool.connect())).await;
            for _ in 0..400 {
                if pool.stats().waiting >= 60 {
                    break;
                }
                Delay::from(Duration::from_millis(5)).await;
            }
            let waiting = pool.stats().waiting;
            for lease in leases {
                lease.map_err(failed)?.close().await;
            }
            Response::ok(waiting.to_string())
        }
        "wait" => match pool.connect().await {
            Ok(lease) => {
                // The code goes on in its own request: a timer, and a stream of its own.
                Delay::from(Duration::from_millis(2)).await;
                let number = lease.number;
                lease.close().await;
                Response::ok(format!("number {number}"))
            }
            Err(error) => Response::ok(format!("{} {error}", error.code())),
        },
        "late" => {
            let within = Within { timeout: Some(Duration::from_millis(50)), ..Within::default() };
            match pool.connect_within(within).await {
                Ok(_) => Response::ok("served"),
                Err(error) => Response::ok(error.code()),
            }
        }
        // Leaves with a lease out, which another request is to return.
        "leave" => {
            let lease = pool.connect().await.map_err(failed)?;
            numbers::keep(lease);
            Response::ok("left")
        }
        "return" => {
            let returned = numbers::return_all();
            Response::ok(returned.to_string())
        }
        _ => {
            let stats = pool.stats();
            Response::ok(format!("used {} waiting {} idle {}", stats.used, stats.waiting, stats.idle))
        }
    }
}

/// Managers that do not do their work.
async fn bad(argument: &str) -> Result<Response> {
    match argument {
        "never" | "late" => {
            let pool = QueuePool::builder(Numbers::slow(if argument == "never" { 100_000 } else { 120 }))
                .pool_size(1)
                .max_overflow(0)
                .open_timeout(Duration::from_millis(50))
                .build()
                .map_err(failed)?;
            let first = match pool.connect().await {
                Ok(_) => "opened".into(),
                Err(error) => error.to_string(),
            };
            Delay::from(Duration::from_millis(150)).await;
            let stats = pool.stats();
            Response::ok(format!("{first}; then {} of {}", stats.total, stats.max))
        }
        "beyond" => {
            let pool = numbers::pool(false).map_err(failed)?;
            let lease = pool.connect().await.map_err(failed)?;
            let patience = edgepool::Patience { time: Some(Duration::from_millis(20)), drain: false };
            pool.close_within(patience).await;
            drop(pool);
            let words = lease.check().err().map(|error| error.to_string());
            drop(lease);
            Response::ok(words.unwrap_or_default())
        }
        "within" => Response::ok(numbers::opens_within().await),
        _ => Response::error("no such case", 404),
    }
}

/// An object with a pool of its own, and a look at the static one.
#[durable_object]
pub struct Holder {
    pool: Result<Pool>,
    env: Env,
}

impl DurableObject for Holder {
    fn new(_: State, env: Env) -> Self {
        Self { pool: pool(&env, 3), env }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let pool = self.pool.as_ref().map_err(failed)?;
        let path = request.path();
        match path.split('/').nth(3).unwrap_or_default() {
            "request" | "cut" => {
                let work = async {
                    let Ok(lease) = pool.connect().await else { return };
                    let _ = lease.query("SELECT pg_sleep(0.002)", &[]).await;
                };
                if path.ends_with("cut") {
                    cut_off(1, work).await
                } else {
                    work.await
                }
                Response::ok("")
            }
            "static" => {
                let kept = POOL.with_borrow_mut(|place| match place {
                    Some(pool) => Ok(pool.clone()),
                    None => crate::pool(&self.env, 2).inspect(|pool| *place = Some(pool.clone())),
                })?;
                answer(&kept).await
            }
            "pid" => answer(pool).await,
            "stats" => {
                let stats = pool.stats();
                Response::ok(format!("used {} waiting {} total {}", stats.used, stats.waiting, stats.total))
            }
            _ => Response::error("no such case", 404),
        }
    }
}
