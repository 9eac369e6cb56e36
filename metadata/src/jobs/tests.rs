//! Tests of jobs, on both databases.

use std::{collections::BTreeSet, time::Duration};

use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;

use super::*;
use crate::testing::conformance;

const LEASE: Duration = Duration::from_secs(60);

fn new(id: &str, owner: Option<&str>) -> NewJob {
    NewJob {
        id: id.into(),
        owner: owner.map(str::to_owned),
        address: Some("192.0.2.1".into()),
        run_id: Some("run".into()),
        class: "batch".into(),
        language: "ADQL".into(),
        query: "SELECT 1 -- ★".into(),
        parameters: "[]".into(),
        duration_limit: 600,
        destruction_at: None,
    }
}

async fn queued(metadata: &Metadata, id: &str) {
    metadata.create_job(&new(id, Some("ada"))).await.unwrap();
    metadata.enqueue_job(id).await.unwrap();
}

async fn phase(metadata: &Metadata, id: &str) -> Phase {
    metadata.job(id).await.unwrap().unwrap().phase
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.into(), is_fatal: false }
}

fn completed() -> Outcome {
    Outcome::Completed { result: "parts".into() }
}

async fn silence(metadata: &Metadata, id: &str) {
    let silent = sql("UPDATE job SET leased_until = $2 WHERE id = $1").bind(id).bind(Utc::now() - TimeDelta::hours(1));
    assert_eq!(metadata.database.execute(silent).await.unwrap(), 1);
}

conformance! {
    async fn a_job_lives_from_pending_to_completed_and_remembers_all_of_it(place: &Place) {
        let metadata = place.open().await;
        let asked = new("a", Some("ada"));
        metadata.create_job(&asked).await.unwrap();
        let edited = NewJob { query: "SELECT 2".into(), run_id: None, ..asked.clone() };
        assert!(metadata.edit_job(&edited).await.unwrap());
        assert!(metadata.limit_job("a", 5, None).await.unwrap());
        let asked = NewJob { duration_limit: 5, ..edited };
        metadata.enqueue_job("a").await.unwrap();
        assert!(!metadata.edit_job(&asked).await.unwrap(), "it is queued");
        assert_eq!(metadata.queue_position("a").await.unwrap(), Some(0));
        assert_eq!(metadata.take_job("a", "one", LEASE).await.unwrap(), Start::Mine);
        let quote = Utc::now();
        assert!(!metadata.renew_job("a", "one", LEASE, Some("half"), Some(quote)).await.unwrap());
        assert!(!metadata.renew_job("a", "one", LEASE, None, None).await.unwrap());
        let running = metadata.job("a").await.unwrap().unwrap();
        assert_eq!((running.phase, running.replica.as_deref(), running.attempts), (Phase::Executing, Some("one"), 1));
        assert_eq!((running.progress.as_deref(), running.quote_at.is_some()), (Some("half"), true));
        metadata.finish_job("a", "one", &completed()).await.unwrap();
        metadata.close().await;
        let job = place.open().await.job("a").await.unwrap().unwrap();
        assert_eq!((job.asked, job.phase, job.result.as_deref()), (asked, Phase::Completed, Some("parts")));
        assert!(job.created_at <= job.queued_at.unwrap() && job.queued_at <= job.started_at);
        assert!(job.started_at <= job.ended_at && job.error.is_none());
    }

    async fn a_job_goes_nowhere_but_where_it_may_go_from_where_it_is(place: &Place) {
        let metadata = place.open().await;
        metadata.create_job(&new("a", None)).await.unwrap();
        assert!(metadata.create_job(&new("a", None)).await.is_err(), "there is one");
        let early = metadata.finish_job("a", "one", &completed()).await.unwrap_err();
        assert_eq!(early.to_string(), "job a is PENDING, and cannot become COMPLETED from there");
        assert_eq!(metadata.take_job("a", "one", LEASE).await.unwrap(), Start::Not(Phase::Pending));
        metadata.hold_job("a", "too many").await.unwrap();
        metadata.enqueue_job("a").await.unwrap();
        assert!(metadata.enqueue_job("a").await.is_err() && metadata.hold_job("a", "x").await.is_err());
        metadata.refuse_job("a", "no QUERY").await.unwrap();
        let job = metadata.job("a").await.unwrap().unwrap();
        assert_eq!((job.phase, job.error.as_deref(), job.error_is_fatal), (Phase::Error, Some("no QUERY"), true));
        assert_eq!(metadata.abort_job("a").await.unwrap(), Phase::Error, "what has ended stays");
        for absent in [metadata.enqueue_job("b").await, metadata.abort_job("b").await.map(drop)] {
            assert_eq!(absent.unwrap_err().to_string(), "there is no job b");
        }
    }

    async fn of_many_replicas_exactly_one_begins_a_job(place: &Place) {
        let metadata = place.open().await;
        let ids: Vec<String> = (0..10).map(|number| format!("job{number}")).collect();
        for id in &ids {
            queued(&metadata, id).await;
        }
        let mut replicas = JoinSet::new();
        for replica in 0..5 {
            let (metadata, ids) = (place.open().await, ids.clone());
            replicas.spawn(async move {
                let mut mine = 0;
                for id in &ids {
                    match metadata.take_job(id, &format!("replica{replica}"), LEASE).await.unwrap() {
                        Start::Mine => mine += 1,
                        Start::Not(phase) => assert_eq!(phase, Phase::Executing),
                    }
                }
                mine
            });
        }
        assert_eq!(replicas.join_all().await.into_iter().sum::<u32>(), 10);
        for id in &ids {
            assert_eq!(metadata.job(id).await.unwrap().unwrap().attempts, 1);
        }
    }

    async fn who_lost_a_job_cannot_change_it_any_more(place: &Place) {
        let metadata = place.open().await;
        queued(&metadata, "a").await;
        metadata.take_job("a", "stopped", LEASE).await.unwrap();
        silence(&metadata, "a").await;
        let policy = OnLostLease::QueueAgain { attempts: 2 };
        let reclaimed = metadata.reclaim_jobs(Utc::now(), policy, 10).await.unwrap();
        assert_eq!(reclaimed, [Reclaimed { id: "a".into(), replica: "stopped".into(), phase: Phase::Queued }]);
        assert!(metadata.renew_job("a", "stopped", LEASE, None, None).await.is_err());
        metadata.take_job("a", "heir", LEASE).await.unwrap();
        assert!(metadata.renew_job("a", "stopped", LEASE, Some("lies"), None).await.is_err());
        assert!(metadata.finish_job("a", "stopped", &failed("lies")).await.is_err());
        assert!(metadata.give_job_back("a", "stopped").await.is_err());
        metadata.finish_job("a", "heir", &completed()).await.unwrap();
        let job = metadata.job("a").await.unwrap().unwrap();
        assert_eq!((job.phase, job.attempts, job.progress), (Phase::Completed, 2, None));
    }

    async fn a_silent_replica_s_jobs_are_queued_again_or_ended_and_those_of_the_living_stay(place: &Place) {
        let metadata = place.open().await;
        for id in ["again", "often", "stopped", "lives"] {
            queued(&metadata, id).await;
            metadata.take_job(id, "one", LEASE).await.unwrap();
        }
        metadata.abort_job("stopped").await.unwrap();
        let often = sql("UPDATE job SET attempts = 3 WHERE id = 'often'");
        metadata.database.execute(often).await.unwrap();
        for id in ["again", "often", "stopped"] {
            silence(&metadata, id).await;
        }
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let metadata = metadata.clone();
            let policy = OnLostLease::QueueAgain { attempts: 3 };
            tasks.spawn(async move { metadata.reclaim_jobs(Utc::now(), policy, 10).await.unwrap() });
        }
        let mut reclaimed: Vec<_> = tasks.join_all().await.concat().into_iter().map(|r| (r.id, r.phase)).collect();
        reclaimed.sort();
        let expected = [("again", Phase::Queued), ("often", Phase::Error), ("stopped", Phase::Aborted)];
        assert_eq!(reclaimed, expected.map(|(id, phase)| (id.to_owned(), phase)));
        assert_eq!(phase(&metadata, "lives").await, Phase::Executing);
        let often = metadata.job("often").await.unwrap().unwrap();
        assert!(often.error.unwrap().contains("stopped before it had ended") && !often.error_is_fatal);
        assert!(often.ended_at.is_some());
        silence(&metadata, "lives").await;
        metadata.reclaim_jobs(Utc::now(), OnLostLease::Fail, 10).await.unwrap();
        assert_eq!(phase(&metadata, "lives").await, Phase::Error);
    }

    async fn a_job_is_stopped_at_once_or_at_the_next_word_of_its_replica(place: &Place) {
        let metadata = place.open().await;
        metadata.create_job(&new("pending", None)).await.unwrap();
        queued(&metadata, "queued").await;
        queued(&metadata, "running").await;
        metadata.take_job("running", "one", LEASE).await.unwrap();
        assert_eq!(metadata.abort_job("pending").await.unwrap(), Phase::Aborted);
        assert_eq!(metadata.abort_job("queued").await.unwrap(), Phase::Aborted);
        assert_eq!(metadata.take_job("queued", "one", LEASE).await.unwrap(), Start::Not(Phase::Aborted));
        assert_eq!(metadata.abort_job("running").await.unwrap(), Phase::Executing);
        assert!(metadata.renew_job("running", "one", LEASE, None, None).await.unwrap(), "it is told to stop");
        metadata.finish_job("running", "one", &Outcome::Aborted { error: None }).await.unwrap();
        assert_eq!(metadata.abort_job("running").await.unwrap(), Phase::Aborted);
    }

    async fn a_job_that_is_given_back_is_where_it_was_in_the_queue(place: &Place) {
        let metadata = place.open().await;
        for id in ["a", "b"] {
            queued(&metadata, id).await;
        }
        metadata.take_job("a", "one", LEASE).await.unwrap();
        assert_eq!(metadata.queue_position("b").await.unwrap(), Some(0));
        metadata.give_job_back("a", "one").await.unwrap();
        let queue = metadata.queue("batch", 10).await.unwrap();
        assert_eq!(queue.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue[0].owner.as_deref(), Some("ada"));
        assert_eq!(metadata.queue_position("b").await.unwrap(), Some(1));
        assert_eq!(metadata.usage(Some("ada")).await.unwrap(), Usage { queued_jobs: 2, running_jobs: 0 });
        assert_eq!(metadata.queue("bulk", 10).await.unwrap(), []);
    }

    async fn a_list_names_what_a_walk_over_all_jobs_would(place: &Place) {
        let metadata = place.open().await;
        let begin: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut all = Vec::new();
        for number in 0..120_i64 {
            // Three jobs share each moment, and all phases and two owners are mixed.
            let (id, created_at) = (format!("job{:03}", number * 77 % 120), begin + TimeDelta::seconds(number / 3));
            let phase = Phase::ALL[usize::try_from(number * 5 % 9).unwrap()];
            let owner = if number % 4 == 0 { None } else { Some("ada") };
            metadata.create_job(&new(&id, owner)).await.unwrap();
            let place = sql("UPDATE job SET created_at = $2, phase = $3 WHERE id = $1");
            metadata.database.execute(place.bind(&id).bind(created_at).bind(phase.word())).await.unwrap();
            all.push((owner, phase, created_at, id));
        }
        all.sort_by(|one, other| (other.2, &other.3).cmp(&(one.2, &one.3)));
        let phase_sets = [
            vec![],
            vec![Phase::Completed],
            vec![Phase::Archived],
            vec![Phase::Error, Phase::Pending, Phase::Error],
            vec![Phase::Executing, Phase::Completed, Phase::Archived],
            Phase::ALL.to_vec(),
        ];
        for owner in [None, Some("ada"), Some("bob")] {
            for phases in &phase_sets {
                for after in [None, Some(begin + TimeDelta::seconds(20))] {
                    let wanted =
                        |phase| if phases.is_empty() { phase != Phase::Archived } else { phases.contains(&phase) };
                    let expected: Vec<&str> = all
                        .iter()
                        .filter(|job| job.0 == owner && wanted(job.1) && after.is_none_or(|after| job.2 > after))
                        .map(|job| job.3.as_str())
                        .collect();
                    let filter = JobFilter { owner: owner.map(str::to_owned), phases: phases.clone(), after };
                    let (mut listed, mut behind) = (Vec::new(), None);
                    loop {
                        let page = metadata.jobs(&filter, behind.as_ref(), 7).await.unwrap();
                        listed.extend(page.jobs.into_iter().map(|job| job.id));
                        behind = page.next;
                        if behind.is_none() {
                            break;
                        }
                    }
                    assert_eq!(listed, expected, "{filter:?}");
                }
            }
        }
    }

    async fn what_is_due_is_archived_and_later_forgotten_and_what_is_not_stays(place: &Place) {
        let metadata = place.open().await;
        let now = Utc::now();
        for (id, due) in [("due", -1), ("running", -1), ("young", 1)] {
            let destruction_at = Some(now + TimeDelta::hours(due));
            metadata.create_job(&NewJob { destruction_at, ..new(id, None) }).await.unwrap();
            metadata.enqueue_job(id).await.unwrap();
            metadata.take_job(id, "one", LEASE).await.unwrap();
        }
        queued(&metadata, "endless").await;
        for id in ["due", "young"] {
            metadata.finish_job(id, "one", &completed()).await.unwrap();
        }
        assert_eq!(metadata.overdue_jobs(now, 10).await.unwrap(), ["running"]);
        assert_eq!(metadata.archive_jobs(now, 10).await.unwrap(), [("due".to_owned(), Some("parts".to_owned()))]);
        assert_eq!(metadata.archive_jobs(now, 10).await.unwrap(), []);
        assert_eq!(phase(&metadata, "due").await, Phase::Archived);
        assert_eq!(metadata.purge_jobs(now - TimeDelta::hours(1), 10).await.unwrap(), 0, "it ended a moment ago");
        assert_eq!(metadata.purge_jobs(Utc::now() + TimeDelta::hours(1), 10).await.unwrap(), 1);
        assert_eq!(metadata.job("due").await.unwrap(), None);
        assert!(metadata.delete_job("running").await.is_err(), "it runs");
        assert_eq!(metadata.delete_job("young").await.unwrap(), Some(Some("parts".into())));
        assert_eq!(metadata.delete_job("endless").await.unwrap(), Some(None));
        assert_eq!(metadata.delete_job("young").await.unwrap(), None);
    }

    async fn uploads_come_with_a_pending_job_and_go_with_it(place: &Place) {
        let metadata = place.open().await;
        metadata.create_job(&new("a", None)).await.unwrap();
        let upload = Upload { name: "t".into(), place: "uploads/1".into(), rows: 7, bytes: 1 << 40 };
        metadata.add_upload("a", &upload).await.unwrap();
        let upload = Upload { place: "uploads/2".into(), ..upload };
        metadata.add_upload("a", &upload).await.unwrap();
        assert_eq!(metadata.uploads("a").await.unwrap(), std::slice::from_ref(&upload));
        metadata.enqueue_job("a").await.unwrap();
        assert!(metadata.add_upload("a", &upload).await.is_err(), "it is queued");
        metadata.delete_job("a").await.unwrap();
        assert_eq!(metadata.uploads("a").await.unwrap(), []);
    }

    async fn a_quota_is_what_was_said_last(place: &Place) {
        let metadata = place.open().await;
        assert_eq!(metadata.quota("ada").await.unwrap(), Quota::default());
        for bytes in [None, Some(5)] {
            let quota = Quota { queued_jobs: Some(3), running_jobs: None, stored_bytes: bytes };
            metadata.set_quota("ada", &quota).await.unwrap();
            assert_eq!(metadata.quota("ada").await.unwrap(), quota);
        }
    }

    async fn each_list_and_each_look_is_answered_by_an_index(place: &Place) {
        let metadata = place.open().await;
        let (explain, column, off) = if place.is_postgres() {
            ("EXPLAIN", "QUERY PLAN", "SET enable_seqscan = off")
        } else {
            ("EXPLAIN QUERY PLAN", "detail", "SELECT 1")
        };
        let mut transaction = metadata.database.write().await.unwrap();
        transaction.execute(sql(off)).await.unwrap();
        let newest = "ORDER BY created_at DESC, id DESC LIMIT 10";
        let mut used = BTreeSet::new();
        let own = "owner = '' AND created_at > ''";
        for (condition, order, index) in [
            (&*format!("{own} AND phase <> 'ARCHIVED'"), newest, "job_of_owner"),
            (&*format!("{own} AND phase = 'ERROR' AND phase <> 'COMPLETED'"), newest, "job_of_owner_in_phase"),
            ("phase = 'QUEUED' AND class = 'x'", "ORDER BY queued_at, id LIMIT 10", "job_queued"),
            ("phase = 'EXECUTING' AND leased_until < '2'", "ORDER BY leased_until LIMIT 10", "job_executing"),
            ("phase <> 'ARCHIVED' AND destruction_at <= '2'", "ORDER BY destruction_at LIMIT 10", "job_destroyed"),
            ("phase = 'ARCHIVED' AND ended_at < '2'", "ORDER BY ended_at LIMIT 10", "job_archived"),
        ] {
            let query = format!("SELECT id FROM job WHERE {condition} {order}");
            let plan = transaction.all(sql(format!("{explain} {query}"))).await.unwrap();
            let plan: String = plan.iter().map(|row| row.text(column).unwrap() + "\n").collect();
            assert!(plan.contains(&format!("{index} ")) && !plan.to_lowercase().contains("sort"), "{query}\n{plan}");
            used.insert(index);
        }
        assert_eq!(used.len(), 6);
    }
}
