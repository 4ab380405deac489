//! Connections of JavaScript's drivers, made by the creators and called through the dialects of the npm package.

extern crate std;

use crate::host::{Loss, Manager, Reset, Watch};
use core::fmt::{self, Debug, Display, Formatter};
use core::ops::Deref;
use js_sys::{Array, Function, Object, Promise, Reflect};
use std::string::String;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// Opens what a function of JavaScript returns, or what its promise resolves with.
///
/// The function is a creator of the npm package: it is called with `undefined` and `{ signal }`. The signal is aborted
/// if the pool has no use for the connection any more. A connection that comes later is terminated.
///
/// A dialect says how the connection is called. For what it lacks, the connection's own method is called: `rollback`;
/// `commit`; `close`, `end`, `quit`, `disconnect` or `destroy`; `terminate` or `destroy`.
pub struct JsCreator {
    create: Function,
    dialect: Dialect,
}

impl JsCreator {
    /// Calls this function. Its property `dialect` is the dialect, if there is one.
    pub fn new(create: Function) -> Self {
        let dialect = Dialect(member(&create, "dialect"));
        Self { create, dialect }
    }

    /// Calls connections through this dialect.
    #[must_use]
    pub fn dialect(mut self, dialect: &JsValue) -> Self {
        self.dialect = Dialect(Some(dialect.clone()));
        self
    }
}

/// A connection that a function of JavaScript made.
pub struct JsConnection {
    value: JsValue,
    report: Option<Report>,
}

impl Deref for JsConnection {
    type Target = JsValue;

    fn deref(&self) -> &JsValue {
        &self.value
    }
}

/// What the dialect has of the pool, until it is asked to leave it.
struct Report {
    unsubscribe: Option<Function>,
    _died: Closure<dyn FnMut(JsValue)>,
}

impl JsConnection {
    fn leave(&mut self) {
        if let Some(unsubscribe) = self.report.take().and_then(|report| report.unsubscribe) {
            // It has nothing to say to a pool that has let go.
            let _ = unsubscribe.call0(&JsValue::UNDEFINED);
        }
    }
}

impl Drop for JsConnection {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What JavaScript threw, or a promise was rejected with.
#[derive(Clone)]
pub struct JsThrown(
    /// The value, mostly an `Error`.
    pub JsValue,
);

impl Debug for JsThrown {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Display for JsThrown {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let text = match self.0.dyn_ref::<js_sys::Error>() {
            Some(error) => Some(String::from(error.to_string())),
            None => self.0.as_string(),
        };
        match text {
            Some(text) => formatter.write_str(&text),
            None => Debug::fmt(&self.0, formatter),
        }
    }
}

impl core::error::Error for JsThrown {}

/// Returns what is there under this name and is not `undefined`.
fn value(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &JsValue::from_str(name)).ok().filter(|value| !value.is_undefined())
}

fn member<T: JsCast>(of: &JsValue, name: &str) -> Option<T> {
    value(of, name)?.dyn_into().ok()
}

/// Waits for a promise; what is none is the answer at once.
async fn settled(returned: JsValue) -> Result<JsValue, JsThrown> {
    if !returned.is_object() || member::<Function>(&returned, "then").is_none() {
        return Ok(returned);
    }
    JsFuture::from(Promise::resolve(&returned)).await.map_err(JsThrown)
}

#[derive(Clone)]
struct Dialect(Option<JsValue>);

impl Dialect {
    fn has(&self, name: &str) -> bool {
        self.0.as_ref().and_then(|dialect| member::<Function>(dialect, name)).is_some()
    }

    /// Calls the dialect's member of this name, if it has one.
    fn call(&self, name: &str, arguments: &[&JsValue]) -> Option<Result<JsValue, JsThrown>> {
        let dialect = self.0.as_ref()?;
        let function: Function = member(dialect, name)?;
        Some(function.apply(dialect, &arguments.iter().copied().collect::<Array>()).map_err(JsThrown))
    }

    /// The same, or the connection's own method of the first of these names that it has.
    fn call_or(&self, name: &str, methods: &[&str], connection: &JsValue) -> Result<JsValue, JsThrown> {
        if let Some(result) = self.call(name, &[connection]) {
            return result;
        }
        let method = methods.iter().find_map(|method| member::<Function>(connection, method));
        method.map_or(Ok(JsValue::UNDEFINED), |method| method.call0(connection).map_err(JsThrown))
    }

    fn close(&self, connection: &JsValue) -> Result<JsValue, JsThrown> {
        self.call_or("doClose", &["close", "end", "quit", "disconnect", "destroy"], connection)
    }

    fn terminate(&self, connection: &JsValue) {
        let has = |name| self.has(name);
        let has_method = |name| member::<Function>(connection, name).is_some();
        // A dialect's own polite close is closer to the driver than a duck-typed abrupt one.
        let is_polite = !has("doTerminate") && (has("doClose") || !has_method("terminate") && !has_method("destroy"));
        let returned = if is_polite {
            self.close(connection)
        } else {
            self.call_or("doTerminate", &["terminate", "destroy"], connection)
        };
        // It is not to be trusted: nothing waits for its answer.
        if let Ok(returned) = returned {
            spawn_local(async move {
                let _ = settled(returned).await;
            });
        }
    }

    fn is(&self, name: &str, arguments: &[&JsValue]) -> Option<JsValue> {
        self.call(name, arguments)?.ok()
    }
}

/// An opening under way. If it is dropped, its signal is aborted, and what it brings is terminated.
struct Pending {
    controller: Option<JsValue>,
    returned: Option<JsValue>,
    dialect: Dialect,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(returned) = self.returned.take() else { return };
        if let Some(controller) = &self.controller
            && let Some(abort) = member::<Function>(controller, "abort")
        {
            // Listeners of a signal do not throw into it.
            let _ = abort.call0(controller);
        }
        let dialect = self.dialect.clone();
        spawn_local(async move {
            if let Ok(late) = settled(returned).await {
                dialect.terminate(&late);
            }
        });
    }
}

impl Pending {
    fn context(&self) -> JsValue {
        let context = Object::new();
        if let Some(signal) = self.controller.as_ref().and_then(|controller| value(controller, "signal")) {
            // A new object takes any property.
            let _ = Reflect::set(&context, &JsValue::from_str("signal"), &signal);
        }
        context.into()
    }
}

impl Manager for JsCreator {
    type Connection = JsConnection;
    type Error = JsThrown;

    async fn open(&self, watch: Watch<Self>) -> Result<JsConnection, JsThrown> {
        let controller = member::<Function>(&js_sys::global(), "AbortController")
            .and_then(|class| Reflect::construct(&class, &Array::new()).ok());
        let mut pending = Pending { controller, returned: None, dialect: self.dialect.clone() };
        let returned =
            self.create.call2(&JsValue::UNDEFINED, &JsValue::UNDEFINED, &pending.context()).map_err(JsThrown)?;
        pending.returned = Some(returned.clone());
        let opened = settled(returned).await;
        pending.returned = None;
        let connection = opened?;
        let died = Closure::new(move |error: JsValue| watch.died(Some(JsThrown(error))));
        let report = self.dialect.call("onDisconnect", &[&connection, died.as_ref()]).map(|unsubscribe| Report {
            unsubscribe: unsubscribe.ok().and_then(|unsubscribe| unsubscribe.dyn_into().ok()),
            _died: died,
        });
        Ok(JsConnection { value: connection, report })
    }

    async fn reset(&self, connection: &mut JsConnection, reset: Reset) -> Result<(), JsThrown> {
        let returned = match reset {
            Reset::Rollback => self.dialect.call_or("doRollback", &["rollback"], connection),
            Reset::Commit => self.dialect.call_or("doCommit", &["commit"], connection),
            Reset::Session => self.dialect.call_or("doResetSession", &[], connection),
        };
        settled(returned?).await.map(|_| ())
    }

    async fn ping(&self, connection: &mut JsConnection) -> Result<bool, JsThrown> {
        match self.dialect.call("doPing", &[connection]) {
            Some(returned) => Ok(settled(returned?).await?.is_truthy()),
            None => Ok(true),
        }
    }

    fn can_ping(&self) -> bool {
        self.dialect.has("doPing")
    }

    async fn close(&self, mut connection: JsConnection) -> Result<(), JsThrown> {
        connection.leave();
        settled(self.dialect.close(&connection)?).await.map(|_| ())
    }

    fn terminate(&self, mut connection: JsConnection) {
        connection.leave();
        self.dialect.terminate(&connection);
    }

    async fn cancel(&self, connection: &mut JsConnection) -> Result<bool, JsThrown> {
        match self.dialect.call("doCancel", &[connection]) {
            Some(returned) => Ok(settled(returned?).await?.as_bool() != Some(false)),
            None => Ok(false),
        }
    }

    fn loss(&self, error: &JsThrown, connection: &JsConnection) -> Loss {
        match self.dialect.is("isDisconnect", &[&error.0, connection]) {
            Some(says) if says.as_bool() == Some(true) => Loss::Others,
            Some(says) if says.as_string().as_deref() == Some("connection") => Loss::Alone,
            _ => Loss::None,
        }
    }

    fn is_transient(&self, error: &JsThrown) -> bool {
        self.dialect.is("isTransient", &[&error.0]).map_or_else(|| is_transient(&error.0), |says| says.is_truthy())
    }

    fn in_transaction(&self, connection: &JsConnection) -> bool {
        self.dialect.is("inTransaction", &[connection]).is_none_or(|says| says.as_bool() != Some(false))
    }

    fn is_busy(&self, connection: &JsConnection) -> bool {
        self.dialect.is("isBusy", &[connection]).is_some_and(|says| says.is_truthy())
    }

    fn is_stuck(&self, connection: &JsConnection) -> bool {
        let says = self.dialect.is("isBusy", &[connection]);
        says.is_some_and(|says| says.as_string().as_deref() == Some("stuck"))
    }
}

/// Codes of openings that may succeed a moment later, as in the npm package.
fn is_transient(error: &JsValue) -> bool {
    let text = |name| value(error, name).and_then(|value| value.as_string());
    let code: Option<String> = text("code");
    let number = value(error, "errno").and_then(|value| value.as_f64());
    match code.as_deref() {
        Some("ECONNREFUSED" | "ECONNRESET" | "ECONNABORTED" | "EPIPE" | "ETIMEDOUT" | "EHOSTUNREACH") => true,
        Some("ENETUNREACH" | "ENETDOWN" | "EAI_AGAIN" | "57P01" | "57P02" | "57P03" | "53300") => true,
        Some("PROTOCOL_CONNECTION_LOST") => true,
        Some("ENOENT") => text("syscall").as_deref() == Some("connect"),
        _ => number.is_some_and(|number| [1040.0, 1053.0, 1203.0, 1226.0].contains(&number)),
    }
}
