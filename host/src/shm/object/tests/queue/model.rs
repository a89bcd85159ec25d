//! Random operations of several parties, against a model that is a few plain collections.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const PARTIES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Get,
    Acknowledge,
    TaskDone,
    End(bool),
    Bury,
    TakeReported,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        8 => (0_u8..80).prop_map(Step::Put),
        8 => Just(Step::Get),
        2 => Just(Step::Acknowledge),
        3 => Just(Step::TaskDone),
        2 => any::<bool>().prop_map(Step::End),
        3 => Just(Step::Bury),
        1 => Just(Step::TakeReported),
        1 => prop::bool::weighted(0.05).prop_map(|closes| if closes { Step::Close } else { Step::Get }),
    ];
    prop::collection::vec((0..PARTIES, step), 0..200)
}

struct Model {
    shape: QueueShape,
    items: VecDeque<Vec<u8>>,
    /// With the number of items that were taken before.
    hands: [Option<(u64, Vec<u8>)>; PARTIES],
    orphans: Vec<(u64, Vec<u8>)>,
    reported: Vec<Vec<u8>>,
    puts: u64,
    takes: u64,
    done: u64,
    is_closed: bool,
}

impl Model {
    fn new(shape: QueueShape) -> Self {
        Self {
            shape,
            items: VecDeque::new(),
            hands: Default::default(),
            orphans: Vec::new(),
            reported: Vec::new(),
            puts: 0,
            takes: 0,
            done: 0,
            is_closed: false,
        }
    }

    /// What every operation under the mutex does first.
    fn adopt(&mut self) {
        self.orphans.sort();
        match self.shape.orphaned {
            Orphaned::GivenBack => {
                self.orphans.drain(..).rev().for_each(|(_, item)| self.items.push_front(item));
            }
            Orphaned::Reported => {
                self.done += self.orphans.len() as u64;
                self.reported.extend(self.orphans.drain(..).map(|(_, item)| item));
            }
        }
    }

    fn len(&self) -> u32 {
        let returning = if self.shape.orphaned == Orphaned::GivenBack { self.orphans.len() } else { 0 };
        (self.items.len() + returning) as u32
    }

    fn unfinished(&self) -> u64 {
        let reporting = if self.shape.orphaned == Orphaned::Reported { self.orphans.len() } else { 0 };
        self.puts.saturating_sub(self.done).saturating_sub(reporting as u64)
    }

    fn put(&mut self, item: &[u8]) -> Outcome<()> {
        self.adopt();
        if self.is_closed {
            return Err(Refusal::Closed);
        }
        if self.items.len() >= self.shape.items_max as usize {
            return Err(Refusal::Full);
        }
        self.items.push_back(item.to_vec());
        self.puts += 1;
        Ok(())
    }

    fn get(&mut self, party: usize) -> Outcome<Vec<u8>> {
        self.adopt();
        self.hands[party] = None;
        match self.items.pop_front() {
            Some(item) => {
                self.hands[party] = Some((self.takes, item.clone()));
                self.takes += 1;
                Ok(item)
            }
            None if self.is_closed => Err(Refusal::Closed),
            None => Err(Refusal::Empty),
        }
    }

    fn acknowledge(&mut self, party: usize) {
        if self.hands[party].take().is_some() {
            self.adopt();
        }
    }

    fn task_done(&mut self, party: usize) -> Outcome<()> {
        self.adopt();
        if self.unfinished() == 0 {
            return Err(Refusal::TooMany);
        }
        self.hands[party] = None;
        self.done += 1;
        Ok(())
    }

    fn bury(&mut self, party: usize) {
        self.orphans.extend(self.hands[party].take());
    }

    fn end(&mut self, party: usize, end: CallEnd) {
        if end == CallEnd::Normal {
            self.acknowledge(party);
        } else if self.hands[party].is_some() {
            self.bury(party);
            self.adopt();
        }
    }
}

fn follow(orphaned: Orphaned, steps: Vec<(usize, Step)>) -> Result<(), TestCaseError> {
    // Bytes never run out: how items lie in the heap is not for the model.
    let shape = QueueShape { items_max: 5, bytes_max: 1 << 16, joinable: true, orphaned };
    // Each party has a mapping of its own.
    let queues: [Queue; PARTIES] = queues(shape);
    let mut model = Model::new(shape);
    for (number, (index, step)) in steps.into_iter().enumerate() {
        let (queue, party) = (&queues[index], party(index + 1));
        match step {
            Step::Put(length) => {
                let item = vec![number as u8; usize::from(length)];
                prop_assert_eq!(put_now(queue, party, &item), model.put(&item));
            }
            Step::Get => prop_assert_eq!(get_now(queue, party), model.get(index)),
            Step::Acknowledge => {
                prop_assert_eq!(queue.acknowledge(party), Ok(()));
                model.acknowledge(index);
            }
            Step::TaskDone => prop_assert_eq!(queue.task_done(party), model.task_done(index)),
            Step::End(is_normal) => {
                let end = if is_normal { CallEnd::Normal } else { CallEnd::Abnormal };
                queue.end_call(party, end);
                model.end(index, end);
            }
            Step::Bury => {
                queue.bury(party);
                model.bury(index);
            }
            Step::TakeReported => {
                model.adopt();
                prop_assert_eq!(queue.take_reported(party), Ok(std::mem::take(&mut model.reported)));
            }
            Step::Close => {
                model.adopt();
                prop_assert_eq!(queue.close(party), Ok(()));
                model.is_closed = true;
            }
        }
        prop_assert_eq!(queue.len(), Ok(model.len()));
        prop_assert_eq!(queue.unfinished(), Ok(model.unfinished()));
        prop_assert_eq!(queue.is_closed(), model.is_closed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_queue_that_gives_back_does_what_its_model_does(steps in steps()) {
        follow(Orphaned::GivenBack, steps)?;
    }

    #[test]
    fn a_queue_that_reports_does_what_its_model_does(steps in steps()) {
        follow(Orphaned::Reported, steps)?;
    }
}
