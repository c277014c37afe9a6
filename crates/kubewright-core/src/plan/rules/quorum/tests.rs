//! The laws, for everything there can be: up to five members, each in any state, each touched in any way.
//!
//! The judge below shares nothing with the planner: it plays the turns in every world that fits what was seen (a member
//! nobody could ask may be up or down), and counts voters.

use super::*;

/// The states the laws are about; one that is starting is tried with fewer members.
const SETTLED_STATES: [MemberHealth; 6] = [
    MemberHealth::Healthy,
    MemberHealth::Down,
    MemberHealth::Unstarted,
    MemberHealth::Learner,
    MemberHealth::Absent,
    MemberHealth::Unknown,
];
/// Every member is on a control plane, and they tell.
const NOBODY: Elsewhere = Elsewhere {
    voters: 0,
    is_untold: false,
    has_alarm: false,
};
const SERVERS: [Option<Health>; 4] = [
    Some(Health::Ready),
    Some(Health::Starting),
    Some(Health::Down),
    None,
];

#[derive(Clone, Copy, Debug)]
enum Touch {
    No,
    /// Something is changed or started, nothing that runs is restarted.
    Mild,
    Server,
    Etcd,
}
const TOUCHES: [Touch; 4] = [Touch::No, Touch::Mild, Touch::Server, Touch::Etcd];

fn control_plane(etcd: MemberHealth, api_server: Option<Health>, touch: Touch) -> ControlPlane {
    ControlPlane {
        etcd,
        api_server,
        is_touched: !matches!(touch, Touch::No),
        joins: false,
        restarts_etcd: matches!(touch, Touch::Etcd),
        restarts: matches!(touch, Touch::Etcd | Touch::Server),
    }
}

/// What an API server does on a member in a state, as far as it follows.
fn server_on(etcd: MemberHealth) -> Option<Health> {
    match etcd {
        MemberHealth::Healthy => Some(Health::Ready),
        MemberHealth::Starting => Some(Health::Starting),
        MemberHealth::Unknown => None,
        _ => Some(Health::Down),
    }
}

/// Whether the quorum is counted with a member.
fn votes(one: &ControlPlane) -> bool {
    !matches!(one.etcd, MemberHealth::Learner | MemberHealth::Absent)
}

/// Plays the turns in one world; `up` are the members that serve in it, those elsewhere after those of control planes.
fn play(all: &[ControlPlane], turns: &Turns, mut up: Vec<bool>) -> Result<(), String> {
    let elsewhere = up.len() - all.len();
    let is_voter: Vec<bool> = all.iter().map(votes).chain(vec![true; elsewhere]).collect();
    let voters = is_voter.iter().filter(|is| **is).count();
    let quorum = voters / 2 + 1;
    let healthy = |up: &[bool]| up.iter().zip(&is_voter).filter(|(up, is)| **up && **is).count();
    for index in &turns.awaited {
        up[*index] = true;
    }
    for turn in &turns.turns {
        let before = healthy(&up);
        let mut during = up.clone();
        for index in turn {
            if all[*index].restarts_etcd {
                during[*index] = false;
            }
        }
        if voters > 1 && before >= quorum && healthy(&during) < quorum {
            return Err(format!("turn {turn:?} takes the quorum of {before} of {voters}"));
        }
        // The next turn comes only after everybody of this one is well.
        for index in turn {
            up[*index] = true;
        }
    }
    Ok(())
}

/// Every world that fits what was seen.
fn worlds(all: &[ControlPlane], elsewhere: Elsewhere) -> Vec<Vec<bool>> {
    let strangers = std::iter::repeat_n(MemberHealth::Unknown, elsewhere.voters);
    let members = all.iter().map(|one| one.etcd).chain(strangers);
    members.fold(vec![Vec::new()], |worlds, member| {
        let may_be: &[bool] = match member {
            MemberHealth::Healthy => &[true],
            MemberHealth::Unknown | MemberHealth::Starting => &[true, false],
            MemberHealth::Down | MemberHealth::Unstarted | MemberHealth::Learner | MemberHealth::Absent => {
                &[false]
            }
        };
        worlds
            .iter()
            .flat_map(|world| {
                may_be
                    .iter()
                    .map(|is| world.iter().copied().chain([*is]).collect())
            })
            .collect()
    })
}

fn judge(all: &[ControlPlane], elsewhere: Elsewhere) -> Result<(), String> {
    let touched = positions(all, |one| one.is_touched);
    match turns(all, elsewhere) {
        Ok(given) => {
            if let Some(one) = touched.iter().find(|index| !votes(&all[**index])) {
                return Err(format!(
                    "{one} is changed and waited for, and no change makes it vote"
                ));
            }
            let is_obscure = elsewhere.has_alarm || elsewhere.is_untold;
            let disturbed = |one: &&ControlPlane| one.restarts && one.is_well();
            if is_obscure && all.iter().filter(|one| one.is_touched).any(|one| disturbed(&one)) {
                return Err(
                    "one that is well is disturbed while an alarm is raised or nobody tells".to_owned(),
                );
            }
            let mut served: Vec<usize> = given.turns.iter().flatten().copied().collect();
            let mut known: Vec<bool> = all.iter().map(ControlPlane::is_well).collect();
            for index in &given.awaited {
                known[*index] = true;
            }
            for turn in &given.turns {
                for index in turn {
                    let one = &all[*index];
                    let others = known.iter().enumerate().all(|(other, is)| other == *index || *is);
                    if one.restarts && one.is_well() && !others {
                        return Err(format!("{index} is well and disturbed while another is not well"));
                    }
                    if turn.len() > 1 && one.may_serve() {
                        return Err(format!("{index} may serve and shares its turn"));
                    }
                }
                for index in turn {
                    known[*index] = true;
                }
            }
            served.sort_unstable();
            if served != touched {
                return Err(format!("turns are for {served:?}, touched are {touched:?}"));
            }
            if given.awaited.iter().any(|index| touched.contains(index)) {
                return Err("one that is touched is awaited before".to_owned());
            }
            worlds(all, elsewhere)
                .into_iter()
                .try_for_each(|world| play(all, &given, world))
        }
        Err(refused) => {
            let one = &all[refused.control_plane];
            if !votes(one) {
                return Ok(());
            }
            let voters = all.iter().filter(|one| votes(one)).count() + elsewhere.voters;
            let is_reason = |index: usize| !all[index].is_well();
            if !all[refused.control_plane].restarts {
                return Err("refused what restarts nothing".to_owned());
            }
            // Two voters have none to spare, however well they are.
            let is_two = voters == 2 && all[refused.control_plane].restarts_etcd;
            let is_outside = elsewhere.has_alarm
                || elsewhere.is_untold
                || (refused.lacks_quorum && one.restarts_etcd && elsewhere.voters > 0);
            if !refused.unwell.iter().any(|index| is_reason(*index)) && !is_two && !is_outside {
                return Err(format!("refused without a reason: {refused:?}"));
            }
            Ok(())
        }
    }
}

/// Every way to choose `count` of `choices`, handed to `look`.
fn every<T: Copy>(choices: &[T], count: usize, look: &mut impl FnMut(&[T])) {
    fn go<T: Copy>(choices: &[T], left: usize, chosen: &mut Vec<T>, look: &mut impl FnMut(&[T])) {
        if left == 0 {
            return look(chosen);
        }
        for choice in choices {
            chosen.push(*choice);
            go(choices, left - 1, chosen, look);
            chosen.pop();
        }
    }
    go(choices, count, &mut Vec::new(), look);
}

#[test]
fn the_quorum_holds_for_every_membership_up_to_five_whatever_is_touched() {
    let mut tried = 0_u32;
    for (count, strangers) in
        (1..=5).flat_map(|count| (0..=5 - count).map(move |strangers| (count, strangers)))
    {
        let elsewhere = Elsewhere {
            voters: strangers,
            ..Elsewhere::default()
        };
        every(&SETTLED_STATES, count, &mut |states| {
            let touches = [Touch::No, Touch::Etcd, Touch::Mild];
            let touches = if count < 5 { &touches[..] } else { &touches[..2] };
            every(touches, count, &mut |touches| {
                let all: Vec<ControlPlane> = states
                    .iter()
                    .zip(touches)
                    .map(|(state, touch)| control_plane(*state, server_on(*state), *touch))
                    .collect();
                judge(&all, elsewhere).unwrap_or_else(|broken| {
                    panic!("{broken}: {states:?} {touches:?} {strangers} elsewhere")
                });
                tried += 1;
            });
        });
    }
    // Of each number of control planes: with so many members elsewhere, times every state and touch of each.
    assert_eq!(
        tried,
        5 * 18 + 4 * 18_u32.pow(2) + 3 * 18_u32.pow(3) + 2 * 18_u32.pow(4) + 12_u32.pow(5)
    );
}

#[test]
fn it_holds_while_an_alarm_is_raised_or_nobody_tells_the_members() {
    for (has_alarm, is_untold) in [(true, false), (false, true), (true, true)] {
        let elsewhere = Elsewhere {
            voters: 0,
            is_untold,
            has_alarm,
        };
        let parts: Vec<(MemberHealth, Touch)> = SETTLED_STATES
            .iter()
            .flat_map(|state| TOUCHES.iter().map(move |touch| (*state, *touch)))
            .collect();
        for count in 1..=3 {
            every(&parts, count, &mut |parts| {
                let all: Vec<ControlPlane> = parts
                    .iter()
                    .map(|(state, touch)| control_plane(*state, server_on(*state), *touch))
                    .collect();
                judge(&all, elsewhere).unwrap_or_else(|broken| panic!("{broken}: {parts:?} {elsewhere:?}"));
            });
        }
    }
}

#[test]
fn it_holds_for_three_members_and_every_state_of_member_and_api_server() {
    let states = [
        MemberHealth::Healthy,
        MemberHealth::Starting,
        MemberHealth::Down,
        MemberHealth::Unknown,
    ];
    let parts: Vec<(MemberHealth, Option<Health>, Touch)> = states
        .iter()
        .flat_map(|etcd| {
            SERVERS
                .iter()
                .flat_map(move |server| TOUCHES.iter().map(move |touch| (*etcd, *server, *touch)))
        })
        .collect();
    for count in [1, 3] {
        every(&parts, count, &mut |parts| {
            let all: Vec<ControlPlane> = parts
                .iter()
                .map(|(etcd, server, touch)| control_plane(*etcd, *server, *touch))
                .collect();
            judge(&all, NOBODY).unwrap_or_else(|broken| panic!("{broken}: {parts:?}"));
        });
    }
}

#[test]
fn a_cluster_that_is_well_is_never_refused_a_change() {
    for count in [1, 3, 5] {
        every(&TOUCHES, count, &mut |touches| {
            let all: Vec<ControlPlane> = touches
                .iter()
                .map(|touch| control_plane(MemberHealth::Healthy, Some(Health::Ready), *touch))
                .collect();
            let given = turns(&all, NOBODY).unwrap();
            assert!(given.awaited.is_empty() && given.turns.iter().all(|turn| turn.len() == 1));
        });
    }
}

#[test]
fn who_is_down_can_always_be_repaired_and_comes_first() {
    let down = control_plane(MemberHealth::Down, Some(Health::Down), Touch::Etcd);
    let well = control_plane(MemberHealth::Healthy, Some(Health::Ready), Touch::Etcd);
    let order = |all: &[ControlPlane]| turns(all, NOBODY).map(|given| given.turns);
    assert_eq!(
        order(&[well.clone(), down.clone(), well.clone()]),
        Ok(vec![vec![1], vec![0], vec![2]])
    );
    assert_eq!(
        order(&[down.clone(), well, down.clone()]),
        Ok(vec![vec![0, 2], vec![1]])
    );
    assert_eq!(
        order(&[down.clone(), down.clone(), down]),
        Ok(vec![vec![0, 1, 2]])
    );
    let broken = control_plane(MemberHealth::Healthy, Some(Health::Down), Touch::Etcd);
    assert_eq!(
        order(&[broken.clone(), broken.clone(), broken]),
        Ok(vec![vec![0], vec![1], vec![2]])
    );
}

#[test]
fn nobody_is_disturbed_while_another_is_down_or_not_known() {
    let touched = control_plane(MemberHealth::Healthy, Some(Health::Ready), Touch::Server);
    let well = control_plane(MemberHealth::Healthy, Some(Health::Ready), Touch::No);
    for (etcd, server) in [
        (MemberHealth::Down, Some(Health::Down)),
        (MemberHealth::Unknown, None),
        (MemberHealth::Learner, Some(Health::Down)),
        (MemberHealth::Healthy, Some(Health::Down)),
    ] {
        let unwell = control_plane(etcd, server, Touch::No);
        assert_eq!(
            turns(&[well.clone(), touched.clone(), unwell], NOBODY),
            Err(NotNow {
                control_plane: 1,
                unwell: vec![2],
                lacks_quorum: false,
            })
        );
    }
}

#[test]
fn one_that_has_just_begun_is_waited_for() {
    let touched = control_plane(MemberHealth::Healthy, Some(Health::Ready), Touch::Etcd);
    let starting = control_plane(MemberHealth::Starting, Some(Health::Starting), Touch::No);
    let well = control_plane(MemberHealth::Healthy, Some(Health::Ready), Touch::No);
    let given = turns(&[touched, starting, well], NOBODY).unwrap();
    assert_eq!((given.awaited, given.turns), (vec![1], vec![vec![0]]));
}

#[test]
fn a_member_nobody_knows_counts_and_is_not_trusted() {
    let member = |touch| control_plane(MemberHealth::Healthy, Some(Health::Ready), touch);
    let one_elsewhere = Elsewhere { voters: 1, ..NOBODY };
    // Of four, three have to be left; of five, too.
    let refused = turns(
        &[member(Touch::Etcd), member(Touch::No), member(Touch::No)],
        one_elsewhere,
    );
    assert_eq!(
        refused,
        Err(NotNow {
            control_plane: 0,
            unwell: Vec::new(),
            lacks_quorum: true
        })
    );
    let spared = turns(
        &[member(Touch::Server), member(Touch::No), member(Touch::No)],
        one_elsewhere,
    );
    assert_eq!(spared.map(|given| given.turns), Ok(vec![vec![0]]));
    let four = std::iter::repeat_n(member(Touch::No), 3).chain([member(Touch::Etcd)]);
    let spared = turns(&four.collect::<Vec<_>>(), one_elsewhere);
    assert_eq!(spared.map(|given| given.turns), Ok(vec![vec![3]]));
}
