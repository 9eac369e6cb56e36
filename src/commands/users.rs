//! `almagest user`, `almagest token` and `almagest group`: who may sign in, with what, and to which groups they belong.

use chrono::{DateTime, Utc};
use metadata::{Metadata, NewToken, UserName};
use serde_json::{Value, json};

use super::{catalog::aligned, passwords::new_password, print};
use crate::{
    cli::{CreateTokenArgs, GroupCommand, ListTokensArgs, LogArgs, MembersArgs, PlainArgs, TokenCommand, UserCommand},
    config::Config,
    failure::Failure,
    wiring,
    words::moment,
};

/// Who does what is done here, for the audit log.
pub(super) fn actor() -> String {
    let known = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    known.filter(|name| !name.is_empty()).map_or("operator".to_owned(), |name| format!("operator {name}"))
}

/// Does what a sub-command of `almagest user` says.
pub(crate) async fn run(config: Config, command: UserCommand) -> Result<(), Failure> {
    let metadata = wiring::metadata(&config).await?;
    let actor = actor();
    match command {
        UserCommand::Add(args) => {
            metadata.add_user(&args.name, &new_password(args.name.as_str())?, &actor).await?;
            for group in &args.group {
                metadata.change_members(group, std::slice::from_ref(&args.name), &[], &actor).await?;
            }
            eprintln!("{}: may sign in", args.name);
        }
        UserCommand::List(args) => return users(&metadata, &args).await,
        UserCommand::Passwd(args) => {
            expect_user(&metadata, &args.name).await?; // before anybody types
            metadata.set_password(&args.name, &new_password(args.name.as_str())?, &actor).await?;
            eprintln!("{}: the password is changed", args.name);
        }
        UserCommand::Disable(args) => {
            metadata.set_disabled(&args.name, true, &actor).await?;
            eprintln!("{}: may not sign in any more", args.name);
        }
        UserCommand::Enable(args) => {
            metadata.set_disabled(&args.name, false, &actor).await?;
            eprintln!("{}: may sign in again", args.name);
        }
        UserCommand::Log(args) => return log(&metadata, &args).await,
    }
    Ok(())
}

/// Does what a sub-command of `almagest token` says.
pub(crate) async fn run_token(config: Config, command: TokenCommand) -> Result<(), Failure> {
    let metadata = wiring::metadata(&config).await?;
    match command {
        TokenCommand::Create(args) => create_token(&metadata, &args).await,
        TokenCommand::List(args) => tokens(&metadata, &args).await,
        TokenCommand::Revoke(args) => {
            metadata.revoke_token(&args.id, &actor()).await?;
            eprintln!("{}: is of no use any more", args.id);
            Ok(())
        }
    }
}

/// Does what a sub-command of `almagest group` says.
pub(crate) async fn run_group(config: Config, command: GroupCommand) -> Result<(), Failure> {
    let metadata = wiring::metadata(&config).await?;
    match command {
        GroupCommand::Add(args) => {
            metadata.add_group(&args.name, &actor()).await?;
            eprintln!("{}: has no members yet", args.name);
            Ok(())
        }
        GroupCommand::List(args) => groups(&metadata, &args).await,
        GroupCommand::Members(args) => members(&metadata, &args).await,
    }
}

async fn expect_user(metadata: &Metadata, name: &UserName) -> Result<(), Failure> {
    let there = metadata.users().await?.iter().any(|user| user.name == *name);
    if there { Ok(()) } else { Err(Failure::Refused(format!("there is no user {name}"))) }
}

async fn users(metadata: &Metadata, args: &PlainArgs) -> Result<(), Failure> {
    let users = metadata.users().await?;
    if args.json {
        let of = |user: &metadata::User| {
            json!({
                "user": user.name.as_str(),
                "disabled": user.is_disabled,
                "groups": user.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(),
                "created": user.created_at.to_rfc3339(),
                "signed_in": stated(user.signed_in_at),
            })
        };
        return print(&json!(users.iter().map(of).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["user", "may sign in", "since", "last sign-in", "groups"].map(str::to_owned)];
    lines.extend(users.iter().map(|user| {
        let groups = user.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>().join(" ");
        let may = if user.is_disabled { "no" } else { "yes" };
        [user.name.to_string(), may.into(), moment(user.created_at), seldom(user.signed_in_at), groups]
    }));
    print(&aligned(&lines))
}

async fn log(metadata: &Metadata, args: &LogArgs) -> Result<(), Failure> {
    let entries = metadata.audit(args.last).await?;
    if args.json {
        let of = |entry: &metadata::AuditEntry| {
            json!({
                "at": entry.at.to_rfc3339(),
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "address": entry.address,
                "succeeded": entry.succeeded,
                "detail": entry.detail,
            })
        };
        return print(&json!(entries.iter().map(of).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["at", "actor", "action", "subject", "from", "done", "detail"].map(str::to_owned)];
    lines.extend(entries.into_iter().map(|entry| {
        let done = if entry.succeeded { "yes" } else { "no" }.to_owned();
        let at = entry.at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        let (from, detail) = (entry.address.unwrap_or_default(), entry.detail.unwrap_or_default());
        [at, entry.actor, entry.action, entry.subject, from, done, detail]
    }));
    print(&aligned(&lines))
}

async fn create_token(metadata: &Metadata, args: &CreateTokenArgs) -> Result<(), Failure> {
    let expires_at = args.expires.from(Utc::now());
    let (user, label) = (args.user.clone(), args.label.clone());
    let new = NewToken { user, label, scopes: args.scope.iter().copied().collect(), expires_at };
    let (id, token) = metadata.create_token(&new, &actor()).await?;
    let until = expires_at.map_or("until it is revoked".to_owned(), |time| format!("until {}", moment(time)));
    eprintln!("{id}: a token of {}, good {until}; it is shown this once", args.user);
    if args.json {
        let scopes = new.scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>();
        let expires = stated(expires_at);
        let whole =
            json!({ "id": id, "token": token, "user": new.user.as_str(), "scopes": scopes, "expires": expires });
        return print(&whole.to_string());
    }
    print(&token)
}

async fn tokens(metadata: &Metadata, args: &ListTokensArgs) -> Result<(), Failure> {
    let tokens = metadata.tokens(args.user.as_ref()).await?;
    let scopes = |token: &metadata::Token| token.scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>();
    if args.json {
        let of = |token: &metadata::Token| {
            json!({
                "id": token.id,
                "user": token.user.as_str(),
                "label": token.label,
                "scopes": scopes(token),
                "created": token.created_at.to_rfc3339(),
                "expires": stated(token.expires_at),
                "revoked": stated(token.revoked_at),
                "used": stated(token.used_at),
            })
        };
        return print(&json!(tokens.iter().map(of).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["id", "user", "good for", "until", "last used", "label"].map(str::to_owned)];
    lines.extend(tokens.iter().map(|token| {
        let until = match (token.revoked_at, token.expires_at) {
            (Some(revoked), _) => format!("revoked {}", moment(revoked)),
            (None, Some(expires)) => moment(expires),
            (None, None) => "for good".to_owned(),
        };
        let scopes = scopes(token).join(" ");
        [token.id.clone(), token.user.to_string(), scopes, until, seldom(token.used_at), token.label.clone()]
    }));
    print(&aligned(&lines))
}

async fn groups(metadata: &Metadata, args: &PlainArgs) -> Result<(), Failure> {
    let groups = metadata.groups().await?;
    if args.json {
        return print(&json!(groups.iter().map(described).collect::<Vec<_>>()).to_string());
    }
    let mut lines = vec![["group", "members"].map(str::to_owned)];
    lines.extend(groups.iter().map(|group| {
        let members = group.members.iter().map(|member| member.as_str()).collect::<Vec<_>>();
        [group.name.to_string(), members.join(" ")]
    }));
    print(&aligned(&lines))
}

async fn members(metadata: &Metadata, args: &MembersArgs) -> Result<(), Failure> {
    metadata.change_members(&args.group, &args.add, &args.remove, &actor()).await?;
    let groups = metadata.groups().await?;
    let found = groups.into_iter().find(|group| group.name == args.group);
    let group = found.ok_or_else(|| Failure::Refused(format!("there is no group {}", args.group)))?;
    if args.json {
        return print(&described(&group).to_string());
    }
    print(&group.members.iter().map(|member| format!("{member}\n")).collect::<String>())
}

fn described(group: &metadata::Group) -> Value {
    let members = group.members.iter().map(|member| member.as_str()).collect::<Vec<_>>();
    json!({ "group": group.name.as_str(), "members": members })
}

fn stated(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.to_rfc3339())
}

fn seldom(time: Option<DateTime<Utc>>) -> String {
    time.map_or("never".to_owned(), moment)
}
