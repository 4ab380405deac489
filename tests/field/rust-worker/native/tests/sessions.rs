//! What the manager of tokio-postgres knows of a session, on the server of the variable `DATABASE_URL`.

use bytes::Bytes;
use edgepool::QueuePool;
use edgepool::managers::{Postgres, PostgresError};
use futures_util::SinkExt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, SimpleQueryMessage};

type Pool = QueuePool<Postgres>;

fn pool() -> Pool {
    let config: Config = std::env::var("DATABASE_URL").expect("the server").parse().expect("its address");
    let Some(Host::Tcp(host)) = config.get_hosts().first().cloned() else { panic!("no host") };
    let port = config.get_ports()[0];
    let connect = async move || TcpStream::connect((host.as_str(), port)).await;
    Pool::builder(Postgres::new(config, connect)).pool_size(1).max_overflow(0).build().expect("valid options")
}

fn run(test: impl Future<Output = Result<(), Box<dyn std::error::Error>>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test).expect("no error");
}

/// Whether the next caller is in a transaction of another.
async fn inherits(pool: &Pool) -> Result<bool, PostgresError> {
    pool.use_with(async |client| {
        let asked = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL OR now() <> statement_timestamp()";
        let messages = client.simple_query(asked).await?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(row != Some("f"))
    })
    .await
}

/// Polls a future once, so that its statement is sent, and drops it.
async fn begin_and_drop(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_session_at_rest_is_idle_as_soon_as_it_is_dropped() {
    run(async {
        let pool = pool();
        for _ in 0..3 {
            let lease = pool.connect().await?;
            let one: i32 = lease.query_one("SELECT $1::int", &[&1]).await?.get(0);
            assert_eq!(one, 1);
            drop(lease);
            assert_eq!((pool.stats().idle, pool.stats().used), (1, 0));
        }
        pool.close().await;
        Ok(())
    });
}

#[test]
fn a_statement_that_was_never_answered_counts_as_a_transaction() {
    run(async {
        let pool = pool();
        let lease = pool.connect().await?;
        begin_and_drop(lease.batch_execute("BEGIN; SELECT pg_sleep(0.05)")).await;
        drop(lease);
        assert_eq!(pool.stats().idle, 0);
        assert!(!inherits(&pool).await?);
        assert_eq!(pool.stats().opened, 1);
        pool.close().await;
        Ok(())
    });
}

#[test]
fn an_open_transaction_is_rolled_back_and_so_is_one_that_was_dropped() {
    run(async {
        let pool = pool();
        let lease = pool.connect().await?;
        lease.batch_execute("BEGIN").await?;
        drop(lease);
        assert!(!inherits(&pool).await?);
        let mut lease = pool.connect().await?;
        drop(lease.transaction().await?);
        drop(lease);
        assert!(!inherits(&pool).await?);
        assert_eq!(pool.stats().opened, 1);
        pool.close().await;
        Ok(())
    });
}

#[test]
fn a_copy_that_ended_or_was_given_up_leaves_a_session_at_rest() {
    run(async {
        let pool = pool();
        pool.use_with(async |client| {
            Ok::<(), PostgresError>(client.batch_execute("CREATE TEMP TABLE t (n int)").await?)
        })
        .await?;
        for is_whole in [true, false, true] {
            let lease = pool.connect().await?;
            let mut sink = pin!(lease.copy_in::<_, Bytes>("COPY t FROM STDIN").await?);
            sink.send(Bytes::from_static(b"1\n")).await?;
            if is_whole {
                assert_eq!(sink.finish().await?, 1);
            }
        }
        assert!(!inherits(&pool).await?);
        let lease = pool.connect().await?;
        let count: i64 = lease.query_one("SELECT count(*) FROM t", &[]).await?.get(0);
        assert_eq!(count, 2);
        drop(lease);
        assert_eq!((pool.stats().idle, pool.stats().opened), (1, 1));
        pool.close().await;
        Ok(())
    });
}

#[test]
fn a_session_that_the_server_ended_is_replaced_before_a_caller_has_it() {
    run(async {
        let (pool, other) = (pool(), pool());
        let pid: i32 = pool.connect().await?.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let killer = other.connect().await?;
        killer.query_one("SELECT pg_terminate_backend($1)", &[&pid]).await?;
        while pool.stats().idle > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let next: i32 = pool.connect().await?.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        assert_ne!(next, pid);
        drop(killer);
        pool.close().await;
        other.close().await;
        Ok(())
    });
}
