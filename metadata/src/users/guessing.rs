//! Who guesses passwords is made to wait: for each user and for each address the first few failures are free, and then
//! each doubles the wait, up to a bound. Whoever waits is refused without being heard, and is not made to wait for longer by
//! asking again.
//!
//! An attempt is counted as a failure before the password is looked at, in one statement that is also the check: of many
//! who try at the same time no more are heard than of those who try one after the other. A success takes it back.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::UserName;
use crate::{Metadata, MetadataError, database::sql};

/// How many failures are free, and the longest wait.
pub(super) struct Patience {
    free: i64,
    longest: Duration,
}

/// With one user: the bound is short, since anybody can make a user wait.
const WITH_USER: Patience = Patience { free: 5, longest: Duration::from_secs(300) };
/// With one address, behind which there may be many users.
const WITH_ADDRESS: Patience = Patience { free: 20, longest: Duration::from_secs(3600) };
/// After so long without a failure the earlier ones are forgotten.
const FORGIVING: Duration = Duration::from_secs(24 * 3600);

/// How many doublings reach every bound above.
const DOUBLINGS: i64 = 12;

/// An attempt that was counted.
pub(super) enum Attempt {
    /// It may go on.
    Heard,
    /// It is refused, for so long.
    Barred(Duration),
}

impl Metadata {
    /// Counts an attempt to sign in as a user from an address.
    pub(super) async fn attempt(
        &self,
        user: &UserName,
        address: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, MetadataError> {
        if let Some(address) = address
            && let Attempt::Barred(wait) = self.count(&of_address(address), &WITH_ADDRESS, now).await?
        {
            return Ok(Attempt::Barred(wait));
        }
        let with_user = self.count(&of_user(user), &WITH_USER, now).await?;
        if let (Attempt::Barred(_), Some(address)) = (&with_user, address) {
            self.take_back(&of_address(address)).await?; // not heard, no guess
        }
        Ok(with_user)
    }

    /// Counts a failure of an address that says no name.
    pub(super) async fn failed_without_name(&self, address: &str, now: DateTime<Utc>) -> Result<(), MetadataError> {
        self.count(&of_address(address), &WITH_ADDRESS, now).await.map(drop)
    }

    /// Takes back what was counted: the attempt succeeded. Earlier failures of the address stay, so that nobody who has
    /// an account guesses those of others by signing in between.
    pub(super) async fn succeeded(&self, user: &UserName, address: Option<&str>) -> Result<(), MetadataError> {
        self.forgive(user).await?;
        match address {
            Some(address) => self.take_back(&of_address(address)).await,
            None => Ok(()),
        }
    }

    /// Forgets the failures of a user.
    pub(super) async fn forgive(&self, user: &UserName) -> Result<(), MetadataError> {
        self.database.execute(sql("DELETE FROM guessing WHERE subject = $1").bind(of_user(user))).await.map(drop)
    }

    async fn take_back(&self, subject: &str) -> Result<(), MetadataError> {
        let back = "UPDATE guessing SET failures = failures - 1, barred_ms = 0 WHERE subject = $1 AND failures > 0";
        self.database.execute(sql(back).bind(subject)).await.map(drop)
    }

    async fn count(&self, subject: &str, patience: &Patience, now: DateTime<Utc>) -> Result<Attempt, MetadataError> {
        // `failures + 1` are those with this one. The shift is bounded, and so is what comes of it.
        let count = format!(
            "INSERT INTO guessing (subject, failures, failed_ms, barred_ms) VALUES ($1, 1, $2, 0) \
             ON CONFLICT (subject) DO UPDATE SET \
                 failures = CASE WHEN guessing.failed_ms < $3 THEN 1 ELSE guessing.failures + 1 END, \
                 failed_ms = $2, \
                 barred_ms = CASE \
                     WHEN guessing.failed_ms < $3 OR guessing.failures + 1 < {free} THEN 0 \
                     WHEN guessing.failures + 1 >= {free} + {DOUBLINGS} THEN $2 + {longest} \
                     WHEN 1000 * (1 << CAST(guessing.failures + 1 - {free} AS INTEGER)) > {longest} THEN $2 + {longest} \
                     ELSE $2 + 1000 * (1 << CAST(guessing.failures + 1 - {free} AS INTEGER)) END \
             WHERE guessing.barred_ms <= $2 RETURNING failures",
            free = patience.free,
            longest = patience.longest.as_millis(),
        );
        let now = now.timestamp_millis();
        let forgiven = now.saturating_sub(FORGIVING.as_millis().try_into().unwrap_or(i64::MAX));
        if self.database.maybe_one(sql(count).bind(subject).bind(now).bind(forgiven)).await?.is_some() {
            return Ok(Attempt::Heard);
        }
        let barred = sql("SELECT barred_ms FROM guessing WHERE subject = $1").bind(subject);
        let barred = self.database.maybe_one(barred).await?.map_or(Ok(now), |row| row.number("barred_ms"))?;
        Ok(Attempt::Barred(Duration::from_millis(u64::try_from(barred - now).unwrap_or(0).max(1))))
    }
}

fn of_user(user: &UserName) -> String {
    format!("user {user}")
}

fn of_address(address: &str) -> String {
    format!("address {}", address.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::conformance;

    async fn wait(metadata: &Metadata, user: &UserName, address: &str, now: DateTime<Utc>) -> Option<u64> {
        match metadata.attempt(user, Some(address), now).await.unwrap() {
            Attempt::Heard => None,
            Attempt::Barred(wait) => Some(wait.as_millis().try_into().unwrap()),
        }
    }

    conformance! {
        async fn each_failure_doubles_the_wait_up_to_a_bound_and_a_day_forgets(place: &Place) {
            let metadata = place.open().await;
            let ada: UserName = "ada".parse().unwrap();
            let (mut now, mut heard, mut waits) = (Utc::now(), Vec::new(), Vec::new());
            while waits.len() < 11 {
                let mut free = 0;
                let next = loop {
                    match wait(&metadata, &ada, &format!("192.0.2.{}", waits.len()), now).await {
                        None => free += 1,
                        Some(next) => break next,
                    }
                };
                let again = wait(&metadata, &ada, "192.0.2.99", now).await;
                assert_eq!(again, Some(next), "asking again does not prolong it");
                heard.push(free);
                waits.push(next / 1000);
                now += TimeDelta::milliseconds(next.cast_signed());
            }
            assert_eq!(heard, [5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
            assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
            now += TimeDelta::hours(25);
            assert_eq!(wait(&metadata, &ada, "192.0.2.1", now).await, None);
            assert_eq!(wait(&metadata, &ada, "192.0.2.1", now).await, None, "free again");
        }

        async fn an_address_waits_whoever_it_says_to_be_and_a_success_excuses_itself_only(place: &Place) {
            let metadata = place.open().await;
            let now = Utc::now();
            let mut heard = 0;
            for number in 0..40 {
                let user: UserName = format!("user{number}").parse().unwrap();
                if wait(&metadata, &user, "192.0.2.1", now).await.is_none() {
                    heard += 1;
                    if number % 2 == 0 {
                        metadata.succeeded(&user, Some("192.0.2.1")).await.unwrap();
                    }
                }
            }
            assert_eq!(heard, 40, "20 failures, and the successes between them");
            let other: UserName = "user99".parse().unwrap();
            assert!(wait(&metadata, &other, "192.0.2.1", now).await.is_some());
            assert_eq!(wait(&metadata, &other, "192.0.2.2", now).await, None);
        }

        async fn of_many_who_guess_at_the_same_time_no_more_are_heard_than_one_after_the_other(place: &Place) {
            let metadata = place.open().await;
            let (ada, now) = ("ada".parse::<UserName>().unwrap(), Utc::now());
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..50 {
                let (metadata, ada) = (metadata.clone(), ada.clone());
                tasks.spawn(async move { wait(&metadata, &ada, &format!("192.0.2.{number}"), now).await });
            }
            assert_eq!(tasks.join_all().await.into_iter().filter(Option::is_none).count(), 5);
        }
    }
}
