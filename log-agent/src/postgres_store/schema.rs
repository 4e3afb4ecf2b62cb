//! The schema, and how a database comes to it.
//!
//! A version only adds: replicas of the version before go on beside it. Functions have the version
//! in their names for that.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::failure::Failure;

/// The schema of everything that the log agent keeps in a database.
pub(super) const NAME: &str = "log_agent";

/// Version 1 and what came after; none may ever change, only be added to.
const VERSIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// Makes the schema, or brings it to this version. Replicas that start together wait for each other.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Failure> {
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(NAME)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {NAME}"));
        if let Err(error) = sqlx::query(create).execute(&mut *connection).await {
            // Two that make it at once: one of them is told that it is there.
            let code = error.as_database_error().and_then(|error| error.code());
            if !["42P06", "23505"].contains(&code.as_deref().unwrap_or_default()) {
                return Err(error.into());
            }
        }
    }
    let done = migrator(&VERSIONS)
        .run_direct(None, connection, false)
        .await;
    done.map_err(|error| match error {
        MigrateError::VersionMissing(version) => Failure::Newer(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        error => Failure::Foreign(error.to_string()),
    })
}

fn migrator(versions: &[&'static str]) -> Migrator {
    let migrations = (1..).zip(versions).map(|(version, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, "schema".into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
