//! A Rust Worker whose PostgreSQL connections come from edgepool. A transfer goes to a Durable Object, which keeps five
//! connections for all requests. A report has a pool of its own, which ends with its request.

use edgepool::QueuePool;
use edgepool::managers::{Postgres, PostgresError};
use futures_util::future::join;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use worker::{Context, DurableObject, Env, Error, Request, Response, Result, Socket, State, durable_object, event};

type Pool = QueuePool<Postgres>;

/// What opens connections to the variable `DATABASE_URL`.
fn postgres(env: &Env) -> Result<Postgres> {
    let config: Config = env.var("DATABASE_URL")?.to_string().parse().map_err(refused)?;
    let Some(Host::Tcp(host)) = config.get_hosts().first().cloned() else {
        return Err(refused("DATABASE_URL names no host"));
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok(Postgres::new(config, async move || Socket::builder().connect(host.as_str(), port)))
}

fn refused(error: impl ToString) -> Error {
    Error::RustError(error.to_string())
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    if request.path().starts_with("/transfer/") {
        return env.durable_object("BANK")?.get_by_name("bank")?.fetch_with_request(request).await;
    }
    let pool = Pool::builder(postgres(&env)?).pool_size(2).max_overflow(0).build().map_err(refused)?;
    let report = report(&pool).await;
    // The request goes on until the connections and their tasks have ended.
    context.wait_until(async move { pool.close().await });
    Response::ok(report.map_err(refused)?)
}

/// How much money there is, and on how many accounts: two connections at once.
async fn report(pool: &Pool) -> std::result::Result<String, PostgresError> {
    let ask = async |statement: &'static str| {
        pool.use_with(async |client| Ok::<i64, PostgresError>(client.query_one(statement, &[]).await?.get(0))).await
    };
    let (total, accounts) = join(ask("SELECT sum(balance) FROM accounts"), ask("SELECT count(*) FROM accounts")).await;
    Ok(format!("{} on {} accounts", total?, accounts?))
}

/// A bank with five connections, which are opened once and used by all of its requests.
#[durable_object]
pub struct Bank {
    pool: Result<Pool>,
}

impl DurableObject for Bank {
    fn new(_: State, env: Env) -> Self {
        let pool = postgres(&env)
            .and_then(|postgres| Pool::builder(postgres).pool_size(5).max_overflow(0).build().map_err(refused));
        Self { pool }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let pool = self.pool.as_ref().map_err(refused)?;
        let numbers: Vec<i32> = request.path().split('/').filter_map(|part| part.parse().ok()).collect();
        let &[from, to, amount] = numbers.as_slice() else { return Response::error("what transfer?", 404) };
        let transferred = pool.use_with(async |client| transfer(client, from, to, amount).await).await;
        match transferred {
            Ok(true) => Response::ok("transferred"),
            Ok(false) => Response::error("not enough money", 409),
            Err(error) => Response::error(error.to_string(), 500),
        }
    }
}

/// Returns whether there was enough money. If not, the pool rolls back what is open.
async fn transfer(
    client: &mut tokio_postgres::Client,
    from: i32,
    to: i32,
    amount: i32,
) -> std::result::Result<bool, PostgresError> {
    let transaction = client.transaction().await?;
    // In the order of their numbers, so that two transfers never wait for each other.
    transaction.query("SELECT FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", &[&from, &to]).await?;
    let taken = "UPDATE accounts SET balance = balance - $2 WHERE id = $1 AND balance >= $2";
    if transaction.execute(taken, &[&from, &amount]).await? == 0 {
        return Ok(false);
    }
    transaction.execute("UPDATE accounts SET balance = balance + $2 WHERE id = $1", &[&to, &amount]).await?;
    transaction.commit().await?;
    Ok(true)
}
