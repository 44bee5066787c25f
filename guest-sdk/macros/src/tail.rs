//! Functions that are not `async` and return a future all the same, as those of traits with boxed
//! futures do.

use syn::{Block, Expr, Stmt};

/// The statements of the future that a body returns, if it is `async move { … }` or
/// `Box::pin(async move { … })`.
pub(crate) fn future(body: &mut Block) -> Option<&mut Vec<Stmt>> {
    let Some(Stmt::Expr(last, None)) = body.stmts.last_mut() else { return None };
    let future = match last {
        Expr::Call(call) => {
            let Expr::Path(called) = &*call.func else { return None };
            let mut path = called.path.segments.iter().rev();
            let (function, of) = (path.next()?, path.next()?);
            if function.ident != "pin" || of.ident != "Box" || call.args.len() != 1 {
                return None;
            }
            call.args.first_mut()?
        }
        other => other,
    };
    match future {
        Expr::Async(future) if future.capture.is_some() => Some(&mut future.block.stmts),
        _ => None,
    }
}
