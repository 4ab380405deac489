//! Runs 1,000 transfers between accounts by 100 tasks on tokio's LocalSet, through a pool of 5 + 10 connections. One in
//! ten is given up on purpose: half of these leave a transaction open, the others are dropped within a statement. Shows
//! that no money was lost, that no open transaction reached another task, and that no session is left.

use edgepool::QueuePool;
use edgepool::managers::{Postgres, PostgresError};
use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

const TRANSFERS: i32 = 1000;
const TASKS: i32 = 100;
const ACCOUNTS: i32 = 50;
const STARTING_BALANCE: i32 = 1000;

type Pool = QueuePool<Postgres>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut config: Config = std::env::var("DATABASE_URL")?.parse()?;
    config.application_name("rust-quickstart");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(config))
}

fn postgres(config: &Config) -> Result<Postgres, Box<dyn Error>> {
    let Some(Host::Tcp(host)) = config.get_hosts().first().cloned() else { return Err("no host".into()) };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok(Postgres::new(config.clone(), async move || {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    }))
}

#[derive(Default)]
struct Tally {
    done: Cell<i32>,
    left_open: Cell<i32>,
    dropped: Cell<i32>,
    inherited: Cell<i32>,
}

fn count(cell: &Cell<i32>) {
    cell.set(cell.get() + 1);
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    let mut watcher = config.clone();
    watcher.application_name("watcher");
    let watcher = Pool::builder(postgres(&watcher)?).pool_size(1).build()?;
    let admin = watcher.connect().await?;
    admin
        .batch_execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))")
        .await?;
    let filled = "INSERT INTO accounts SELECT id, $1 FROM generate_series(0, $2) AS id";
    admin.execute(filled, &[&STARTING_BALANCE, &(ACCOUNTS - 1)]).await?;

    let pool = Pool::builder(postgres(&config)?).pool_size(5).max_overflow(10).build()?;
    let tally = Rc::new(Tally::default());
    let next = Rc::new(Cell::new(0));
    let start = Instant::now();
    let tasks: Vec<_> =
        (0..TASKS).map(|_| tokio::task::spawn_local(work(pool.clone(), next.clone(), tally.clone()))).collect();
    let mut most = 0;
    for task in tasks {
        task.await??;
        most = most.max(sessions(&admin).await?);
    }
    let took = start.elapsed();
    let stats = pool.stats();
    pool.close().await;

    let total: i64 = admin.query_one("SELECT sum(balance) FROM accounts", &[]).await?.get(0);
    let after = sessions(&admin).await?;
    println!("{} checkouts by {} openings in {} ms\n", stats.checkouts, stats.opened, took.as_millis());
    let given_up = tally.left_open.get() + tally.dropped.get();
    let checks = [
        (
            format!(
                "{} transfers committed, {} left with an open transaction, {} dropped within a statement",
                tally.done.get(),
                tally.left_open.get(),
                tally.dropped.get()
            ),
            tally.done.get() + given_up == TRANSFERS && given_up == TRANSFERS / 10,
        ),
        (format!("the accounts hold {total}, as at the beginning"), total == i64::from(ACCOUNTS * STARTING_BALANCE)),
        (format!("{} tasks received an open transaction", tally.inherited.get()), tally.inherited.get() == 0),
        (format!("PostgreSQL saw at most {most} sessions of the pool at a time"), most <= 15),
        (
            format!("{} checkouts, {} leases are out", stats.checkouts, stats.used),
            stats.checkouts == TRANSFERS as u64 && stats.used == 0,
        ),
        (format!("{after} sessions are open after close()"), after == 0),
    ];
    for (text, holds) in &checks {
        println!("{} {text}", if *holds { "ok    " } else { "FAILED" });
    }
    if checks.iter().all(|&(_, holds)| holds) { Ok(()) } else { Err("a check failed".into()) }
}

async fn sessions(admin: &Client) -> Result<i64, tokio_postgres::Error> {
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rust-quickstart'";
    Ok(admin.query_one(asked, &[]).await?.get(0))
}

async fn work(pool: Pool, next: Rc<Cell<i32>>, tally: Rc<Tally>) -> Result<(), PostgresError> {
    loop {
        let number = next.replace(next.get() + 1);
        if number >= TRANSFERS {
            return Ok(());
        }
        if number % 20 == 13 {
            // The caller leaves while a statement runs: at once, or a little later. The lease goes back as it is.
            count(&tally.dropped);
            let mut lease = pool.connect().await?;
            let time = Duration::from_millis(u64::try_from(number / 20 % 3).unwrap_or(0));
            let _ = tokio::time::timeout(time, transfer(&mut lease, number, &tally)).await;
            continue;
        }
        pool.use_with(async |client| transfer(client, number, &tally).await).await?;
    }
}

async fn transfer(client: &mut Client, number: i32, tally: &Tally) -> Result<(), PostgresError> {
    // The server shows it: in an inherited transaction the start is before the task's own statement.
    let asked = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL OR now() <> statement_timestamp()";
    let messages = client.simple_query(asked).await?;
    if messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))) {
        count(&tally.inherited);
    }
    let (from, to) = (number % ACCOUNTS, (number * 7 + 1) % ACCOUNTS);
    client.batch_execute("BEGIN").await?;
    // In the order of their numbers, so that two transfers never wait for each other.
    client.query("SELECT FROM accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", &[&from, &to]).await?;
    client.execute("UPDATE accounts SET balance = balance - 1 WHERE id = $1", &[&from]).await?;
    if number % 20 == 13 {
        // Its caller leaves at the latest here.
        std::future::pending::<()>().await;
    }
    if number % 20 == 3 {
        // Left with an open transaction: the pool rolls it back.
        count(&tally.left_open);
        return Ok(());
    }
    client.execute("UPDATE accounts SET balance = balance + 1 WHERE id = $1", &[&to]).await?;
    client.batch_execute("COMMIT").await?;
    count(&tally.done);
    Ok(())
}
